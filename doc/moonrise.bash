# SPDX-License-Identifier: MIT
# bash completion for moonrise(1): words, options, services of the running init, scripts.
# shellcheck shell=bash

# Names of services; nothing where no init answers.
_moonrise_services() {
	moonrise eval 'for name in pairs(services) do print(name) end' 2>/dev/null
}

_moonrise_words() {
	moonrise help | sed -n '/^Words:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# What may follow `volume $1`.
_moonrise_volume() {
	case $1 in
	diff) echo --fail --ignore --json --template --data --root --help ;;
	status) echo --json --help ;;
	split) echo --list --template --data --root --id --all --help ;;
	esac
}

# What may follow the word $1 as its argument number $2.
_moonrise_arguments() {
	case $1$2 in
	why1) echo --json && _moonrise_services ;;
	logs*) echo -f --follow -n --lines --json && _moonrise_services ;;
	start* | stop* | restart* | reload* | why* | wait1 | enter1) _moonrise_services ;;
	wait2) echo waiting starting ready reloading stopping stopped failed backoff ;;
	wait*) echo --timeout ;;
	enter2) echo -- ;;
	signal1) echo HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH ;;
	signal*) _moonrise_services ;;
	health*) echo --ready --live --json ;;
	status1 | top1) echo --json ;;
	env1) echo --json -0 ;;
	check*) echo --lua --memory ;;
	settings*) echo --json --markdown --lua --memory ;;
	shutdown1) echo --status ;;
	volume1) echo split status diff ;;
	volume*) _moonrise_volume "${COMP_WORDS[2]}" ;;
	esac
}

_moonrise() {
	local current=${COMP_WORDS[COMP_CWORD]} word=${COMP_WORDS[1]}
	local candidates files=

	if ((COMP_CWORD == 1)); then
		case $current in
		-*) candidates="--lua --memory --help --version -- --group --single-child --rewrite --subreaper
			--parent-death --expect --warn --verbose --quiet" ;;
		*) candidates=$(_moonrise_words) files=-f ;;
		esac
	else
		candidates=$(_moonrise_arguments "$word" $((COMP_CWORD - 1)))
		case $word in
		check | settings | plot | volume | */* | *.lua) files=-f ;;
		esac
	fi
	# A word is not to be taken for a folder of the same name.
	mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$current")
	if [[ $files && ! ${COMPREPLY[0]} ]]; then
		compopt -o filenames 2>/dev/null # not in a test
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	fi
}

complete -F _moonrise moonrise

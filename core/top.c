/* SPDX-License-Identifier: MIT */
#include "top.h"

#include "client.h"
#include "util.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <termios.h>

#define PERIOD_MS 1000
#define CTRL_C 3
#define CLEAR "\033[H\033[2J"
#define HOME "\033[H"
#define CLEAR_BELOW "\033[J"

static volatile sig_atomic_t is_over, is_resized;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		is_resized = 1;
	else
		is_over = 1;
}

static void catch_signals(void)
{
	static const int numbers[] = { SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGPIPE };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

/* The answer fits the window as it is now. */
static int draw(char *word)
{
	struct winsize window = { 0 };
	struct client_text text = { 0 };
	char columns[32], rows[32];

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &window);
	(void)snprintf(columns, sizeof(columns), "--columns=%d",
		       window.ws_col ? window.ws_col : 80);
	(void)snprintf(rows, sizeof(rows), "--rows=%d", window.ws_row ? window.ws_row : 24);
	client_send((char *[]){ word, columns, rows }, 3);
	int status = client_keep(&text);
	if (status == 0) {
		fputs(HOME, stdout);
		(void)fwrite(text.data, 1, text.size, stdout);
		fputs(CLEAR_BELOW, stdout);
		if (fflush(stdout) != 0)
			is_over = 1;
	}
	free(text.data);
	return status;
}

/* Until the next picture is due, the window changes, or a key ends it all. */
static void wait_for_key(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (is_over || poll(&input, 1, PERIOD_MS) <= 0)
		return;
	if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == CTRL_C)
		is_over = 1;
}

static int run_on_terminal(char *word)
{
	struct termios before, raw;
	int status = 0;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return EX_IOERR;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
	catch_signals();
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	fputs(CLEAR, stdout);
	while (!is_over && status == 0) {
		if (is_resized)
			fputs(CLEAR, stdout);
		is_resized = 0;
		status = draw(word);
		if (status == 0)
			wait_for_key();
	}
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	return status;
}

int top_run(int argc, char **argv)
{
	if (client_connect() < 0)
		return EX_UNAVAILABLE;
	if (argc == 1 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return run_on_terminal(argv[0]);
	client_send(argv, argc);
	return client_follow();
}

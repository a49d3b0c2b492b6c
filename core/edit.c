/* SPDX-License-Identifier: MIT */
/* The line editor. One line of the screen: a text that is wider scrolls sideways,
 * so that no cursor ever has to climb. After each key the line is drawn anew from
 * its first column, in one write. */
#include "edit.h"

#include "text.h"
#include "util.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#define HISTORY_MAX 500
#define ESCAPE_MS 100 /* what follows an ESC later than this is another key */
#define LIST_MAX 120
#define SEARCH_MAX 80 /* bytes */

/* Keys: bytes as they come, and those that terminals send as sequences. */
enum key {
	KEY_UP = 256,
	KEY_DOWN,
	KEY_LEFT,
	KEY_RIGHT,
	KEY_HOME,
	KEY_END,
	KEY_DELETE,
	KEY_WORD_LEFT,
	KEY_WORD_RIGHT,
	KEY_KILL_WORD_LEFT,
	KEY_KILL_WORD_RIGHT,
	KEY_UNKNOWN,
};
#define CONTROL(c) ((c)-64)
#define ESCAPE 27
#define RUBOUT 127

struct line {
	const char *prompt;
	edit_completer *complete;
	struct text text; /* without control characters */
	int entry;        /* of the history; history_count is the new line */
	int next_key;     /* one that has been read already, or 0 */
	bool done;
	enum edit_result result;
};

static char *history[HISTORY_MAX + 1]; /* one more: the new line, while older ones are looked at */
static int history_count;
static char *killed; /* by Ctrl-K, Ctrl-U, Ctrl-W; Ctrl-Y brings it back */

static void cut(struct line *line, size_t from, size_t to)
{
	if (from >= to)
		return;
	free(killed);
	killed = strndup(line->text.bytes + from, to - from);
	text_erase(&line->text, from, to);
}

static void replace(struct line *line, const char *text)
{
	text_erase(&line->text, 0, line->text.length);
	text_insert(&line->text, text, strlen(text));
}

/* ---- screen */

static int screen_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 4)
		return 80;
	return size.ws_col;
}

static void draw(const struct line *line)
{
	const struct text *text = &line->text;
	int indent = text_width(line->prompt, strlen(line->prompt));
	int room = screen_width() - indent - 1, column = text_width(text->bytes, text->cursor);
	size_t from = 0, to = text->cursor;
	int width;

	/* Scroll until the cursor is in sight, then fill what room is left. */
	while (from < text->cursor && column > room) {
		from += text_char(text->bytes + from, text->length - from, &width);
		column -= width;
	}
	for (int used = column; to < text->length;) {
		size_t n = text_char(text->bytes + to, text->length - to, &width);
		used += width;
		if (used > room)
			break;
		to += n;
	}
	auto_free char *out = NULL;
	int size = asprintf(&out, "\r%s%.*s\033[K\r\033[%dC", line->prompt, (int)(to - from),
			    text->bytes + from, indent + column);
	if (size > 0)
		(void)!write(STDOUT_FILENO, out, (size_t)size);
}

static void say(const char *text)
{
	(void)!write(STDOUT_FILENO, text, strlen(text));
}

/* ---- keys */

static int read_byte(void)
{
	unsigned char c;
	ssize_t n;

	do {
		n = read(STDIN_FILENO, &c, 1);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? c : -1;
}

static bool more_follows(void)
{
	struct pollfd in = { STDIN_FILENO, POLLIN, 0 };

	return poll(&in, 1, ESCAPE_MS) > 0;
}

/* What follows ESC [ or ESC O: numbers, then one letter. */
static int read_sequence(void)
{
	static const struct {
		const char *text;
		enum key key;
	} sequences[] = {
		{ "A", KEY_UP },           { "B", KEY_DOWN },          { "C", KEY_RIGHT },
		{ "D", KEY_LEFT },         { "H", KEY_HOME },          { "F", KEY_END },
		{ "1~", KEY_HOME },        { "7~", KEY_HOME },         { "4~", KEY_END },
		{ "8~", KEY_END },         { "3~", KEY_DELETE },       { "1;5C", KEY_WORD_RIGHT },
		{ "1;5D", KEY_WORD_LEFT }, { "1;3C", KEY_WORD_RIGHT }, { "1;3D", KEY_WORD_LEFT },
	};
	char text[16];
	size_t length = 0;
	int c;

	do {
		c = read_byte();
		if (c < 0)
			return c;
		if (length + 1 < sizeof(text))
			text[length++] = (char)c;
	} while (c < '@' || c > '~');
	text[length] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++)
		if (strcmp(text, sequences[i].text) == 0)
			return sequences[i].key;
	return KEY_UNKNOWN;
}

static int read_key(void)
{
	int c = read_byte();

	if (c != ESCAPE || !more_follows())
		return c;
	switch (c = read_byte()) {
	case '[':
	case 'O':
		return read_sequence();
	case 'b':
		return KEY_WORD_LEFT;
	case 'f':
		return KEY_WORD_RIGHT;
	case 'd':
		return KEY_KILL_WORD_RIGHT;
	case RUBOUT:
	case CONTROL('H'):
		return KEY_KILL_WORD_LEFT;
	default:
		return c < 0 ? c : KEY_UNKNOWN;
	}
}

/* ---- what keys do */

static void do_left(struct line *line)
{
	line->text.cursor = text_before(&line->text, line->text.cursor);
}

static void do_right(struct line *line)
{
	line->text.cursor = text_after(&line->text, line->text.cursor);
}

static void do_word_left(struct line *line)
{
	line->text.cursor = text_word_before(&line->text, line->text.cursor);
}

static void do_word_right(struct line *line)
{
	line->text.cursor = text_word_after(&line->text, line->text.cursor);
}

static void do_home(struct line *line)
{
	line->text.cursor = 0;
}

static void do_end(struct line *line)
{
	line->text.cursor = line->text.length;
}

static void do_backspace(struct line *line)
{
	text_erase(&line->text, text_before(&line->text, line->text.cursor), line->text.cursor);
}

static void do_delete(struct line *line)
{
	text_erase(&line->text, line->text.cursor, text_after(&line->text, line->text.cursor));
}

static void do_kill_right(struct line *line)
{
	cut(line, line->text.cursor, line->text.length);
}

static void do_kill_left(struct line *line)
{
	cut(line, 0, line->text.cursor);
}

static void do_kill_word_left(struct line *line)
{
	cut(line, text_word_before(&line->text, line->text.cursor), line->text.cursor);
}

static void do_kill_word_right(struct line *line)
{
	cut(line, line->text.cursor, text_word_after(&line->text, line->text.cursor));
}

static void do_yank(struct line *line)
{
	if (killed)
		text_insert(&line->text, killed, strlen(killed));
}

static void do_clear(struct line *line)
{
	(void)line;
	say("\033[H\033[2J");
}

static void show_entry(struct line *line, int entry)
{
	if (entry < 0 || entry > history_count)
		return;
	if (line->entry == history_count) { /* what was being written comes back on the way down */
		free(history[history_count]);
		history[history_count] = strdup(line->text.bytes);
	}
	line->entry = entry;
	if (history[entry])
		replace(line, history[entry]);
}

static void do_up(struct line *line)
{
	show_entry(line, line->entry - 1);
}

static void do_down(struct line *line)
{
	show_entry(line, line->entry + 1);
}

static void finish(struct line *line, enum edit_result result, const char *echo)
{
	line->done = true;
	line->result = result;
	do_end(line);
	draw(line);
	say(echo);
}

static void do_return(struct line *line)
{
	finish(line, EDIT_LINE, "\n");
}

static void do_interrupt(struct line *line)
{
	finish(line, EDIT_INTERRUPTED, "^C\n");
}

static void do_end_of_file(struct line *line)
{
	if (line->text.length == 0)
		finish(line, EDIT_END, "\n");
	else
		do_delete(line);
}

/* ---- searching the history */

/* The entry at `from`, or the last one before it, in which `text` stands; -1: none. */
static int find_entry(const char *text, int from)
{
	while (from >= 0 && (!history[from] || !strstr(history[from], text)))
		from--;
	return from;
}

/* Shows it with the cursor where `text` begins; the last one stays when there is none. */
static bool show_found(struct line *line, const char *text, int from)
{
	int entry = find_entry(text, from);
	const char *found;

	if (entry < 0)
		return false;
	show_entry(line, entry);
	found = strstr(line->text.bytes, text);
	if (found)
		line->text.cursor = (size_t)(found - line->text.bytes);
	return true;
}

/* One key of a search: false when it is none, and ends it. */
static bool search_by(struct line *line, char *text, int key, bool *ret_found)
{
	size_t length = strlen(text);

	if (key == CONTROL('R')) {
		*ret_found = show_found(line, text, line->entry - 1);
	} else if (key == RUBOUT || key == CONTROL('H')) {
		text[length > 0 ? length - 1 : 0] = '\0';
		*ret_found = show_found(line, text, history_count);
	} else if (key >= ' ' && key < KEY_UP) {
		if (length + 1 < SEARCH_MAX)
			text[length] = (char)key;
		*ret_found = show_found(line, text, line->entry);
	} else {
		return false;
	}
	return true;
}

/* Ctrl-R: each key makes the text that is looked for longer, Ctrl-R goes further back,
 * Ctrl-G gives up; any other key is for the line that was found. */
static void do_search(struct line *line)
{
	char text[SEARCH_MAX] = "", prompt[SEARCH_MAX + 32];
	const char *usual = line->prompt;
	int entry = line->entry, key;
	bool found = true;

	line->prompt = prompt;
	do {
		(void)snprintf(prompt, sizeof(prompt), "(%s '%s') ", found ? "search" : "not found",
			       text);
		draw(line);
		key = read_key();
	} while (search_by(line, text, key, &found));
	line->prompt = usual;
	if (key == CONTROL('G'))
		show_entry(line, entry);
	else
		line->next_key = key;
}

/* ---- completion */

static const char *next_string(const char *s)
{
	return s + strlen(s) + 1;
}

static size_t common_prefix(const char *first, const char *end)
{
	size_t length = strlen(first);

	for (const char *s = first; s < end; s = next_string(s)) {
		size_t same = 0;
		while (same < length && s[same] == first[same])
			same++;
		length = same;
	}
	return length;
}

static void list_candidates(const char *first, const char *end)
{
	int widest = 0, count = 0, columns, column = 0;

	for (const char *s = first; s < end; s = next_string(s)) {
		int width = text_width(s, strlen(s));
		widest = width > widest ? width : widest;
	}
	columns = screen_width() / (widest + 2);
	say("\n");
	for (const char *s = first; s < end && count < LIST_MAX; s = next_string(s), count++) {
		char pad[64];

		say(s);
		column = column + 1 < columns ? column + 1 : 0;
		(void)snprintf(pad, sizeof(pad), "%*s", widest + 2 - text_width(s, strlen(s)), "");
		say(column == 0 || next_string(s) >= end ? "\n" : pad);
	}
	if (count == LIST_MAX)
		say("...\n");
}

static void do_complete(struct line *line)
{
	size_t size = 0;

	/* At the start of a line it is indentation, often out of a paste. */
	if (strspn(line->text.bytes, " ") >= line->text.cursor) {
		text_insert(&line->text, "  ", 2);
		return;
	}
	auto_free char *answer =
		line->complete ? line->complete(line->text.bytes, line->text.cursor, &size) : NULL;
	if (!answer || size == 0 || answer[size - 1] != '\0')
		return;
	const char *stem = answer, *first = next_string(answer), *end = answer + size;
	if (first >= end || strlen(stem) > line->text.cursor)
		return;
	size_t common = common_prefix(first, end);
	bool only_one = next_string(first) >= end;
	if (only_one || (common > strlen(stem) && strncmp(first, stem, strlen(stem)) == 0)) {
		text_erase(&line->text, line->text.cursor - strlen(stem), line->text.cursor);
		text_insert(&line->text, first, common);
	} else {
		list_candidates(first, end);
	}
}

/* ---- the loop */

static const struct {
	int key;
	void (*act)(struct line *line);
} actions[] = {
	{ KEY_LEFT, do_left },
	{ CONTROL('B'), do_left },
	{ KEY_RIGHT, do_right },
	{ CONTROL('F'), do_right },
	{ KEY_WORD_LEFT, do_word_left },
	{ KEY_WORD_RIGHT, do_word_right },
	{ KEY_HOME, do_home },
	{ CONTROL('A'), do_home },
	{ KEY_END, do_end },
	{ CONTROL('E'), do_end },
	{ KEY_UP, do_up },
	{ CONTROL('P'), do_up },
	{ KEY_DOWN, do_down },
	{ CONTROL('N'), do_down },
	{ RUBOUT, do_backspace },
	{ CONTROL('H'), do_backspace },
	{ KEY_DELETE, do_delete },
	{ CONTROL('K'), do_kill_right },
	{ CONTROL('U'), do_kill_left },
	{ CONTROL('W'), do_kill_word_left },
	{ KEY_KILL_WORD_LEFT, do_kill_word_left },
	{ KEY_KILL_WORD_RIGHT, do_kill_word_right },
	{ CONTROL('Y'), do_yank },
	{ CONTROL('L'), do_clear },
	{ CONTROL('R'), do_search },
	{ CONTROL('I'), do_complete },
	{ CONTROL('M'), do_return },
	{ CONTROL('J'), do_return },
	{ CONTROL('C'), do_interrupt },
	{ CONTROL('D'), do_end_of_file },
};

static void press(struct line *line, int key)
{
	char c = (char)key;

	if (key < 0) {
		finish(line, EDIT_END, "\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (actions[i].key == key) {
			actions[i].act(line);
			return;
		}
	}
	if (key >= ' ' && key < KEY_UP)
		text_insert(&line->text, &c, 1);
}

static enum edit_result edit(struct line *line)
{
	struct termios saved, raw;
	struct pollfd in = { STDIN_FILENO, POLLIN, 0 };

	text_insert(&line->text, "", 0);
	if (!line->text.bytes || tcgetattr(STDIN_FILENO, &saved) < 0)
		return EDIT_END;
	raw = saved;
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	draw(line);
	while (!line->done) {
		int key = line->next_key ? line->next_key : read_key();
		line->next_key = 0;
		press(line, key);
		/* A paste is drawn once, not for each byte of it. */
		if (!line->done && poll(&in, 1, 0) == 0)
			draw(line);
	}
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	return line->result;
}

static enum edit_result read_plain(const char *prompt, char **ret_line)
{
	auto_free char *line = NULL;
	size_t capacity = 0;

	if (isatty(STDIN_FILENO))
		say(prompt);
	ssize_t length = getline(&line, &capacity, stdin);
	if (length < 0)
		return EDIT_END;
	if (line[length - 1] == '\n')
		line[length - 1] = '\0';
	*ret_line = line;
	line = NULL;
	return EDIT_LINE;
}

enum edit_result edit_line(const char *prompt, edit_completer *complete, char **ret_line)
{
	const char *term = getenv("TERM");
	struct line line = { .prompt = prompt, .complete = complete, .entry = history_count };
	enum edit_result result;

	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* for glibc's wcwidth; musl's needs nothing */
	*ret_line = NULL;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || (term && strcmp(term, "dumb") == 0))
		return read_plain(prompt, ret_line);
	result = edit(&line);
	free(history[history_count]);
	history[history_count] = NULL;
	if (result == EDIT_LINE)
		*ret_line = line.text.bytes;
	else
		free(line.text.bytes);
	return result;
}

void edit_remember(const char *line)
{
	if (line[0] == '\0' || (history_count > 0 && strcmp(history[history_count - 1], line) == 0))
		return;
	if (history_count == HISTORY_MAX) {
		free(history[0]);
		memmove(history, history + 1, (HISTORY_MAX - 1) * sizeof(*history));
		history_count--;
	}
	history[history_count] = strdup(line);
	if (history[history_count])
		history_count++;
}

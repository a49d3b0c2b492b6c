/* SPDX-License-Identifier: MIT */
/* `moonrise top`: the services again and again, on a terminal. The init draws; this
 * keeps the terminal, the pace and the keys. */
#ifndef MOONRISE_TOP_H
#define MOONRISE_TOP_H

/* argv[0] is the word. The exit status. */
int top_run(int argc, char **argv);

#endif

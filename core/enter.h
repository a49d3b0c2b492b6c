/* SPDX-License-Identifier: MIT */
/* `moonrise enter NAME -- CMD`: become what a service is, then execute CMD. A
 * terminal can't be handed to the init, so the client asks for the plan and
 * carries it out on itself. */
#ifndef MOONRISE_ENTER_H
#define MOONRISE_ENTER_H

/* argv[0] is the word. Returns only when it could not be done: the exit status. */
int enter_run(int argc, char **argv);

#endif

/* A library without any of the functions that are looked for in it. */
int mpoptNothing(void) { return 0; }

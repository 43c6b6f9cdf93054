#ifndef UNITVAR_TESTS_C_CHECK_H
#define UNITVAR_TESTS_C_CHECK_H
/* Checks for tests in plain C: a failing one prints itself and makes the program end with 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unitvar/unitvar.h"

static int failures = 0;

/* Counts a failure. Says whether to print it: the first ones tell enough. */
static inline int is_news(void) { return ++failures <= 20; }

#define CHECK(condition)                                                                       \
  do {                                                                                         \
    if (!(condition) && is_news()) printf("%s:%d: want %s\n", __FILE__, __LINE__, #condition); \
  } while (0)

#define CHECK_OK(call)                                                                                                 \
  do {                                                                                                                 \
    if ((call) != UNITVAR_OK && is_news()) printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, unitvar_last_error()); \
  } while (0)

/* A call that must fail with this status, and with a message that has this text. */
#define CHECK_FAILS(call, status, text)                                                                           \
  do {                                                                                                            \
    const unitvar_status got = (call);                                                                            \
    if ((got != (status) || strstr(unitvar_last_error(), text) == NULL) && is_news())                             \
      printf("%s:%d: %s: %s, \"%s\", want %s with \"%s\"\n", __FILE__, __LINE__, #call, unitvar_status_name(got), \
             unitvar_last_error(), unitvar_status_name(status), text);                                            \
  } while (0)

static inline int near(double got, double want, double tolerance) {
  return fabs(got - want) <= tolerance * fmax(1, fabs(want));
}
#endif

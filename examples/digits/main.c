/* Runs the self-test: on a host, or on a target with semihosting. Exit status 0 if all is equal. */
#ifndef ARDUINO
#include <stdio.h>

#include "model_digits.h"

static digits_context context;

int main(void) {
  ssm_mismatch first;
  if (digits_selftest(&context, &first) != 0) {
    printf("digits: sequence %lu, frame %lu, place %lu: expected %lx, found %lx\n",
           (unsigned long)first.sequence, (unsigned long)first.frame, (unsigned long)first.place,
           (unsigned long)first.expected, (unsigned long)first.found);
    return 1;
  }
  printf("digits: the self-test passed\n");
  return 0;
}
#else
typedef int ssm_main_is_elsewhere;
#endif

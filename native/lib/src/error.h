/* Errors: those of the library, and those of a reply. */
#pragma once

#include "../membroker.h"
#include "json.h"

/* The caller's error, or one that nobody reads, so that the library always has one. */
#define ERROR_OR_OWN(error) ((error) == NULL ? &(mb_error){.code = MB_OK} : (error))

/* Sets an error, with a sentence; returns its code. */
mb_code fail(mb_error *error, mb_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
mb_code fail_system(mb_error *error, mb_code code, int system_error, const char *what);
mb_code violation(mb_error *error, const char *method, const char *reason);
/* The error of a reply, where its name is not absent. */
mb_code error_of(json qualified_name, json parameters, mb_error *error);

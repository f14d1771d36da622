#pragma once

#include "broker.h"
#include "text.h"

/* Tell the broker without waiting, again while it is away or refuses for now. Frees the text. */
mb_code run_errand(mb_broker *broker, enum errand_kind kind, struct text *parameters, mb_error *error);

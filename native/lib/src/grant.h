#pragma once

#include "broker.h"
#include "text.h"

mb_code create_mapping(mb_broker *broker, const char *name, const mb_map_options *options, mb_mapping **mapping, mb_error *error);
/* RevokeMapping or Release to its end, on a connection of its own. */
mb_code end_call(mb_broker *broker, const char *method, struct text *parameters, int64_t deadline, bool repeatable, bool dispatching,
                 mb_outcome *outcome, mb_error *error);

#pragma once

#include "broker.h"

/* Before the first descriptor: the broker can reach this process. */
mb_code prepare_notices(mb_broker *broker, mb_error *error);
/* Calls the handlers of mappings, and those for the connection. */
void announce(mb_broker *broker);

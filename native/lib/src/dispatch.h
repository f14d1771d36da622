#pragma once

#include "broker.h"

void broker_free(mb_broker *broker);

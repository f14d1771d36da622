/* Mappings as this process knows them: their descriptors, and the revoke requests for them. */
#pragma once

#include "broker.h"

/* Takes the grant's descriptor out of the reply's (it becomes -1 there). NULL: error is set. */
mb_mapping *adopt_grant(mb_broker *broker, const char *method, json grant, struct fds *fds, mb_error *error);
/* Whether each descriptor has its grant, and each grant its own; otherwise what is wrong. */
const char *check_grants(json grant, json grants, const struct fds *fds);
/* What is local ends; the state is MB_ENDED. */
void mapping_drop(mb_mapping *mapping);
void mapping_free(mb_mapping *mapping);
mb_mapping *mapping_of(mb_broker *broker, int64_t id);
bool same_mapping(const mb_mapping_info *a, const mb_mapping_info *b);

/* The broker asks for a mapping, perhaps one that this process does not know yet. deadline: a time of day; 0: unknown. */
void request_revoke(mb_broker *broker, int64_t id, int64_t deadline, json detail);
void forget_request(mb_broker *broker, int64_t id);
/* The first mapping that its handler is to be called for. */
mb_mapping *next_waiting(const mb_broker *broker);

/* What happens to the driver: handlers that note it, and the mappings by the names that the tests gave them. */
#pragma once

#include "put.h"

enum { slots = 64, name_bytes = 64 };

/* An unknown name ends the driver. */
mb_mapping **slot_of(const char *name);
mb_mapping *named_mapping(const char *name);
void name_mapping(const char *name, mb_mapping *mapping);
const char *name_of(const mb_mapping *mapping);

/* context: not NULL where it is to answer MB_LATER. */
mb_reply on_revoke(void *context, mb_mapping *mapping, const mb_revoke_notice *notice);
void on_lost(void *context, mb_mapping *mapping);
void on_disconnected(void *context, const mb_error *why);
void on_reconnected(void *context);
void on_warning(void *context, const mb_error *why);
void on_watch(void *context, const mb_watch_item *item);
/* on_prepare() does not say ready. */
extern bool answers_later;
/* on_prepare() says that it stays paused. */
extern bool is_stuck;
/* The one that it was called for last. */
extern int64_t update_asked;
void on_prepare(void *context, mb_participation *own, const mb_update *update);
void on_cancelled(void *context, mb_participation *own, int64_t update, const char *reason);

/* The first event of that kind, which is taken away, as the result. */
bool take_event(struct text *answer, const char *kind);
void forget_all(void);

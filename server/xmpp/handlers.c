/* The one visible list of what is spoken: each feature file's table. Order matters only for reading. */
#include "server/xmpp/handlers.h"
#include <string.h>

extern const struct handler_table small_handlers, disco_handlers, carbons_handlers, message_handlers, roster_handlers,
	vcard_handlers, blocking_handlers, private_handlers, account_handlers, mam_handlers, inbox_handlers,
	pep_handlers, adhoc_handlers, notify_handlers, last_handlers, muc_disco_handlers, muc_self_handlers,
	muc_admin_handlers, muc_owner_handlers, muc_message_handlers, muc_vcard_handlers, muc_search_handlers,
	bookmarks_handlers, upload_handlers;

const struct handler_table *const handler_tables[] = {
	&disco_handlers,       /* XEP-0030, 0115 */
	&message_handlers,     /* RFC 6121 section 5, 0184, 0203, 0308, 0333, 0359, 0424, 0444, 0461 */
	&roster_handlers,      /* RFC 6121 section 2 */
	&blocking_handlers,    /* XEP-0191 */
	&vcard_handlers,       /* XEP-0054 */
	&last_handlers,	       /* XEP-0012 */
	&private_handlers,     /* XEP-0049, 0083 */
	&account_handlers,     /* XEP-0077 password change */
	&mam_handlers,	       /* XEP-0313 */
	&inbox_handlers,       /* XEP-0430 */
	&carbons_handlers,     /* XEP-0280 */
	&pep_handlers,	       /* XEP-0060, 0084, 0163, 0384, 0398, 0490 */
	&upload_handlers,      /* XEP-0363 */
	&bookmarks_handlers,   /* XEP-0402, 0048 */
	&muc_disco_handlers,   /* XEP-0045 */
	&muc_self_handlers,    /* XEP-0045 section 7.10, 0410 */
	&muc_admin_handlers,   /* XEP-0045 sections 8 and 9 */
	&muc_owner_handlers,   /* XEP-0045 section 10 */
	&muc_message_handlers, /* XEP-0425 */
	&muc_vcard_handlers,   /* XEP-0054 */
	&muc_search_handlers,  /* XEP-0433 */
	&notify_handlers,      /* notify.DOMAIN */
	&adhoc_handlers,       /* XEP-0050, 0133 */
	&small_handlers,       /* XEP-0092, 0199, 0202, session */
	NULL,
};

static const struct handler *by_ns[NS_COUNT]; /* first row of that namespace; NULL: none */
#define ROWS_MAX 256
static struct handler rows[ROWS_MAX];
static size_t n_rows;

void handlers_init(void)
{
	n_rows = 0;
	for (unsigned ns = 1; ns < NS_COUNT;
	     ns++) { /* rows of one namespace stand together, ended by the next namespace */
		by_ns[ns] = NULL;
		for (size_t t = 0; handler_tables[t]; t++)
			for (const struct handler *h = handler_tables[t]->rows; h && h->fn && n_rows < ROWS_MAX; h++) {
				if (h->ns != ns)
					continue;
				if (!by_ns[ns])
					by_ns[ns] = &rows[n_rows];
				rows[n_rows++] = *h;
			}
	}
}

const struct handler *handler_find(const struct node *child, unsigned iq_type, unsigned addressee, bool *out_exists)
{
	const struct handler *h = child->ns ? by_ns[child->ns] : NULL;

	*out_exists = false;
	for (; h && h < rows + n_rows && h->ns == child->ns; h++) {
		if (h->child != A_NONE && h->child != child->name)
			continue;
		*out_exists = true;
		if ((h->iq_type & iq_type) && (h->to & addressee))
			return h;
	}
	return NULL;
}

struct seen {
	const char *v[256];
	size_t n;
};

static bool is_new(struct seen *s, const char *feature)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], feature) == 0)
			return false;
	if (s->n < sizeof s->v / sizeof *s->v)
		s->v[s->n++] = feature;
	return true;
}

void handlers_features(bool account, void (*fn)(void *ctx, const char *feature), void *ctx)
{
	struct seen seen = { .n = 0 };
	unsigned want = account ? TO_OWN : TO_HOST;

	for (size_t t = 0; handler_tables[t]; t++) {
		for (const struct handler *h = handler_tables[t]->rows; h && h->fn; h++)
			if (h->feature && (h->to & want) && is_new(&seen, h->feature))
				fn(ctx, h->feature);
		const char *const *more =
			account ? handler_tables[t]->account_features : handler_tables[t]->host_features;
		for (; more && *more; more++)
			if (is_new(&seen, *more))
				fn(ctx, *more);
	}
}

/*
 * Finding chats: XEP-0433 and the protocol it came from (muclumbus), which clients speak. Finds open chats and one's own, by words of the title. The
 * pages go forward in order of the chat's number, whatever order was asked. Home thread of the asker.
 */
#include "base/err.h"
#include "server/im/chat_room.h"
#include "server/im/im.h"
#include "server/net/limits.h"
#include "server/xmpp/muc.h"
#include "xml/form.h"
#include "xml/rsm.h"

#define MUCLUMBUS "https://xmlns.zombofant.net/muclumbus/search/1.0"

/* The two namespaces differ in names only. */
static const struct dialect {
	enum ns ns;
	const char *params, *by_address, *by_users;
} dialects[] = {
	{ NS_CHANNEL_SEARCH, "urn:xmpp:channel-search:0:search-params", "{urn:xmpp:channel-search:0:order}address",
	  "{urn:xmpp:channel-search:0:order}nusers" },
	{ NS_MUCLUMBUS, MUCLUMBUS "#params", "{" MUCLUMBUS "}address", "{" MUCLUMBUS "}nusers" },
};

static const struct dialect *dialect_of(const struct request *rq)
{
	return rq->child->ns == NS_MUCLUMBUS ? &dialects[1] : &dialects[0];
}

static void search_form(struct request *rq)
{
	const struct dialect *d = dialect_of(rq);
	struct node *s = node_new(rq->a, A_search, d->ns), *form = form_new(rq->a, s, "form", d->params), *f;

	form_field(rq->a, form, "q", "text-single", "Search for", STR_NONE);
	form_field(rq->a, form, "all", "boolean", "Return all chats", STR("0"));
	f = form_field(rq->a, form, "key", "list-single", "Sort results by", str_c(d->by_address));
	form_field_option(rq->a, f, "Address", str_c(d->by_address));
	form_field_option(rq->a, f, "Number of people", str_c(d->by_users));
	reply_result(rq, s);
}

struct found {
	struct arena *a;
	struct node *result;
	enum ns ns;
	struct str people;
	uint64_t first, last, n, max;
	bool more;
};

static bool add_item(void *ctx, const struct chat_rec *r)
{
	struct found *f = ctx;
	struct arena *a = f->a;

	if (f->n == f->max) {
		f->more = true;
		return false;
	}
	struct node *i = node_add(a, f->result, A_item, f->ns);
	node_set(a, i, "address", muc_address(a, r));
	node_add_text(a, i, A_name, f->ns, arena_str(a, r->title));
	if (r->description.n)
		node_add_text(a, i, A_description, f->ns, arena_str(a, r->description));
	node_add_text(a, i, A_nusers, f->ns, arena_printf(a, "%u", r->n_members));
	if (r->flags & CHAT_IS_OPEN)
		node_add(a, i, A_is_open, f->ns);
	if (!f->n++)
		f->first = r->number;
	f->last = r->number;
	return true;
}

static struct str number_text(struct arena *a, uint64_t number)
{
	return number ? arena_printf(a, "%llu", (unsigned long long)number) : STR_NONE;
}

/* True when the form is fit to be answered; else the error was sent (XEP-0433 4.2.2). */
static bool check(struct request *rq, const struct dialect *d, const struct node *form, struct str words, bool all)
{
	struct str key = form_value(rq->a, form, "key");

	if (key.n && !str_eq_c(key, d->by_address) && !str_eq_c(key, d->by_users)) {
		reply_error_with(rq, "modify", A_feature_not_implemented, A_invalid_sort_key, NS_CHANNEL_SEARCH_ERRORS,
				 "Chats cannot be sorted by that");
		return false;
	}
	if (all && words.n) {
		reply_error_with(rq, "modify", A_bad_request, A_conflicting_fields, NS_CHANNEL_SEARCH_ERRORS,
				 "Ask for all chats or search for words, not both");
		return false;
	}
	if (!all && !words.n) {
		reply_error_with(rq, "modify", A_bad_request, A_invalid_search_terms, NS_CHANNEL_SEARCH_ERRORS,
				 "Give a word of the title, or ask for all");
		return false;
	}
	return true;
}

static void search(struct request *rq)
{
	const struct dialect *d = dialect_of(rq);
	struct node *form = node_child(rq->child, A_x, NS_DATA);
	struct found f = { .a = rq->a, .ns = d->ns, .max = limits()->chat_list };
	struct rsm_query r;
	uint64_t after = 0;
	bool all = false;

	if (!form)
		return search_form(rq);
	struct str words = str_trim(form_value(rq->a, form, "q"));
	form_bool(rq->a, form, "all", &all);
	if (!check(rq, d, form, words, all))
		return;
	if (rsm_parse(rq->a, rq->child, &r) || r.has_before || r.has_index ||
	    (r.has_after && r.after.n && str_u64(r.after, UINT64_MAX, &after))) {
		reply_error(rq, "modify", A_bad_request,
			    "Pages go forward: ask with <after/> and the <last/> of the page before");
		return;
	}
	if (r.has_max && r.max < f.max)
		f.max = r.max;
	f.result = node_new(rq->a, A_result, d->ns);
	muc_service(jid_domain(&rq->to), &f.people);
	if (str_eq(f.people, jid_domain(&rq->session->jid))) {
		struct txn *t = im_read();
		chat_search(t, f.people, rq->session->user->id, words, after, add_item, &f);
		txn_commit(t);
	}
	rsm_add(rq->a, f.result, number_text(rq->a, f.first), number_text(rq->a, f.last), UINT64_MAX, UINT64_MAX);
	reply_result(rq, f.result);
}

static const struct handler rows[] = {
	{ IQ_GET, A_search, NS_CHANNEL_SEARCH, TO_CHATS, 0, NULL, search },
	{ IQ_GET, A_search, NS_MUCLUMBUS, TO_CHATS, 0, NULL, search },
	{ .fn = NULL },
};
const struct handler_table muc_search_handlers = { "XEP-0433 channel search", rows, NULL, NULL };

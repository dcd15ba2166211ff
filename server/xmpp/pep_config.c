/* Configuration of PEP nodes: the table of options and everything that is read off it. Any thread; no state. */
#include "server/xmpp/pep_config.h"
#include "base/buf.h"
#include "base/err.h"
#include "server/net/limits.h"

enum kind { BOOLEAN, CHOICE, COUNT, TEXT };
static const char *const access_models[] = { "presence", "open", "whitelist", NULL };
static const char *const send_last[] = { "on_sub_and_presence", "on_sub", "never", NULL };

static const struct {
	const char *var, *form_type, *label, *fallback;
	enum kind kind;
	const char *const *choices;
} options[PEP_OPTIONS] = {
	[PEP_ACCESS] = { "pubsub#access_model", "list-single", "Who may read", "presence", CHOICE, access_models },
	[PEP_PERSIST] = { "pubsub#persist_items", "boolean", "Items are kept", "1", BOOLEAN, NULL },
	[PEP_MAX_ITEMS] = { "pubsub#max_items", "text-single", "Items that are kept; the oldest goes first", "1", COUNT,
			    NULL },
	[PEP_SEND_LAST] = { "pubsub#send_last_published_item", "list-single", "When the last item is sent",
			    "on_sub_and_presence", CHOICE, send_last },
	[PEP_DELIVER] = { "pubsub#deliver_notifications", "boolean", "Changes are told", "1", BOOLEAN, NULL },
	[PEP_PAYLOADS] = { "pubsub#deliver_payloads", "boolean", "With their content", "1", BOOLEAN, NULL },
	[PEP_RETRACT] = { "pubsub#notify_retract", "boolean", "Retractions are told", "1", BOOLEAN, NULL },
	[PEP_DELETE] = { "pubsub#notify_delete", "boolean", "Deletion of the node is told", "1", BOOLEAN, NULL },
	[PEP_TITLE] = { "pubsub#title", "text-single", "Name of the node for people", "", TEXT, NULL },
	[PEP_TYPE] = { "pubsub#type", "text-single", "Namespace of the items", "", TEXT, NULL },
};

/* Nodes that are nobody else's business from their first item on, whatever the client forgot to say (XEP-0402
 * section 3, 0490 section 5, 0223). */
static const struct {
	const char *node;
	const char *max_items;
} personal[] = { { "urn:xmpp:bookmarks:1", "max" },
		 { "urn:xmpp:mds:displayed:0", "max" },
		 { "storage:bookmarks", "1" } };

void pep_config_default(struct str node, struct pep_config *out)
{
	for (size_t i = 0; i < PEP_OPTIONS; i++)
		out->v[i] = str_c(options[i].fallback);
	out->given = 0;
	for (size_t i = 0; i < sizeof personal / sizeof *personal; i++) {
		if (!str_eq_c(node, personal[i].node))
			continue;
		out->v[PEP_ACCESS] = STR("whitelist");
		out->v[PEP_SEND_LAST] = STR("never");
		out->v[PEP_MAX_ITEMS] = str_c(personal[i].max_items);
	}
}

static int canonical_choice(size_t i, struct str value, struct str *out)
{
	if (i == PEP_ACCESS && str_eq_c(value, "roster"))
		value = STR("presence"); /* groups of a roster are the company's, not the person's */
	for (size_t k = 0; options[i].choices[k]; k++)
		if (str_eq_c(value, options[i].choices[k])) {
			*out = str_c(options[i].choices[k]);
			return 0;
		}
	return ERR_SYNTAX;
}

static int canonical(size_t i, struct str value, struct str *out)
{
	uint64_t n;

	switch (options[i].kind) {
	case BOOLEAN:
		if (!str_eq_c(value, "1") && !str_eq_c(value, "true") && !str_eq_c(value, "0") &&
		    !str_eq_c(value, "false"))
			return ERR_SYNTAX;
		*out = str_eq_c(value, "1") || str_eq_c(value, "true") ? STR("1") : STR("0");
		return 0;
	case CHOICE: return canonical_choice(i, value, out);
	case COUNT:
		*out = value;
		if (str_eq_c(value, "max"))
			return 0;
		if (str_u64(value, UINT64_MAX, &n) || n == 0)
			return ERR_SYNTAX;
		if (n >= limits()->pep_items)
			*out = STR("max");
		return 0;
	case TEXT: *out = value; return value.n > 1000 || str_find(value, '\n') >= 0 ? ERR_SYNTAX : 0;
	}
	return ERR_SYNTAX;
}

int pep_config_read_form(struct arena *a, const struct node *form, struct pep_config *c)
{
	for (size_t i = 0; i < PEP_OPTIONS; i++) {
		struct str value = form_value(a, form, options[i].var);
		if (!value.p)
			continue;
		if (canonical(i, value, &c->v[i]))
			return ERR_SYNTAX;
		c->given |= 1u << i;
	}
	return 0;
}

bool pep_config_fits(const struct pep_config *have, const struct pep_config *wanted)
{
	for (size_t i = 0; i < PEP_OPTIONS; i++)
		if ((wanted->given & 1u << i) && !str_eq(have->v[i], wanted->v[i]))
			return false;
	return true;
}

struct str pep_config_print(struct arena *a, const struct pep_config *c)
{
	struct buf b;

	buf_init(&b, 65536);
	for (size_t i = 0; i < PEP_OPTIONS; i++)
		buf_printf(&b, "%s=%.*s\n", options[i].var, STR_ARG(c->v[i]));
	struct str text = arena_str(a, buf_str(&b));
	buf_clear(&b);
	return text;
}

void pep_config_parse(struct str text, struct str node, struct pep_config *out)
{
	struct str line, var;

	pep_config_default(node, out);
	while (str_split(&text, '\n', &line)) {
		ptrdiff_t eq = str_find(line, '=');
		if (eq <= 0)
			continue;
		var = str_of(line.p, (size_t)eq);
		for (size_t i = 0; i < PEP_OPTIONS; i++)
			if (str_eq_c(var, options[i].var))
				out->v[i] = str_of(line.p + eq + 1, line.n - (size_t)eq - 1);
	}
}

void pep_config_form(struct arena *a, struct node *parent, const struct pep_config *c)
{
	struct node *form = form_new(a, parent, "form", "http://jabber.org/protocol/pubsub#node_config");

	for (size_t i = 0; i < PEP_OPTIONS; i++) {
		struct node *f = form_field(a, form, options[i].var, options[i].form_type, options[i].label,
					    arena_str(a, c->v[i]));
		for (size_t k = 0; options[i].choices && options[i].choices[k]; k++)
			form_field_option(a, f, options[i].choices[k], str_c(options[i].choices[k]));
	}
}

enum pep_access pep_config_access(const struct pep_config *c)
{
	if (str_eq_c(c->v[PEP_ACCESS], "open"))
		return ACCESS_OPEN;
	return str_eq_c(c->v[PEP_ACCESS], "presence") ? ACCESS_PRESENCE : ACCESS_WHITELIST;
}

bool pep_config_is(const struct pep_config *c, enum pep_option o)
{
	return str_eq_c(c->v[o], "1");
}

bool pep_config_sends_last(const struct pep_config *c)
{
	return str_eq_c(c->v[PEP_SEND_LAST], "on_sub_and_presence");
}

uint64_t pep_config_max_items(const struct pep_config *c)
{
	uint64_t n;

	return str_u64(c->v[PEP_MAX_ITEMS], limits()->pep_items, &n) ? limits()->pep_items : n;
}

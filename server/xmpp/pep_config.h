/* Configuration of PEP nodes (XEP-0060 16.4.4): one table of options, read from forms and publish-options, kept as
 * text. Any thread; no state. */
#pragma once
#include "xml/form.h"

enum pep_option {
	PEP_ACCESS,
	PEP_PERSIST,
	PEP_MAX_ITEMS,
	PEP_SEND_LAST,
	PEP_DELIVER,
	PEP_PAYLOADS,
	PEP_RETRACT,
	PEP_DELETE,
	PEP_TITLE,
	PEP_TYPE,
	PEP_OPTIONS
};
/* Canonical values ("1", "presence", "max" ...); slices into what they were read from. given: which of them a form
 * named. */
struct pep_config {
	struct str v[PEP_OPTIONS];
	unsigned given;
};
enum pep_access { ACCESS_PRESENCE, ACCESS_OPEN, ACCESS_WHITELIST };

/* What a new node of that name gets without options. */
void pep_config_default(struct str node, struct pep_config *out);
/* Reads a submitted form over *c (which holds defaults or the present configuration). Unknown fields are passed
 * over; ERR_SYNTAX: a value does not fit. */
int pep_config_read_form(struct arena *a, const struct node *form, struct pep_config *c);
/* XEP-0060 7.1.5: every option that `wanted` was given has the value that the node has. */
bool pep_config_fits(const struct pep_config *have, const struct pep_config *wanted);
/* Lines "name=value". */
struct str pep_config_print(struct arena *a, const struct pep_config *c);
void pep_config_parse(struct str text, struct str node, struct pep_config *out);
/* The form of <configure/> and <default/>. */
void pep_config_form(struct arena *a, struct node *parent, const struct pep_config *c);

enum pep_access pep_config_access(const struct pep_config *c);
bool pep_config_is(const struct pep_config *c, enum pep_option o);  /* boolean options */
bool pep_config_sends_last(const struct pep_config *c);
uint64_t pep_config_max_items(const struct pep_config *c);

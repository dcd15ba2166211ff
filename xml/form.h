/* Data forms (XEP-0004): reading a submitted form and building one. In the arena of the stanza. */
#pragma once
#include "xml/build.h"

/* FORM_TYPE value or NONE. form is the <x xmlns='jabber:x:data'/> element. */
struct str form_type(struct arena *a, const struct node *form);
/* First value of a field; p == NULL when the field is absent. */
struct str form_value(struct arena *a, const struct node *form, const char *var);
/* All values of a field as an array in the arena; returns the count. */
size_t form_values(struct arena *a, const struct node *form, const char *var, struct str **out);
/* "1"/"true" and "0"/"false"; ERR_SYNTAX otherwise, ERR_NOT_FOUND when absent. */
int form_bool(struct arena *a, const struct node *form, const char *var, bool *out);
/* New form element under parent; type "form", "submit" or "result"; form_type may be NULL. */
struct node *form_new(struct arena *a, struct node *parent, const char *type, const char *form_type);
/* Adds a field; type, label and value may be NULL/NONE. Returns the field, to add more <value/> or <option/>. */
struct node *form_field(struct arena *a, struct node *form, const char *var, const char *type, const char *label,
			struct str value);
void form_field_value(struct arena *a, struct node *field, struct str value);
void form_field_option(struct arena *a, struct node *field, const char *label, struct str value);

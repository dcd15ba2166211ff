/*
 * Data forms (XEP-0004). Reading takes the submitted form as it is: the caller compares FORM_TYPE and values with
 * what it offered. A field given twice counts once: the first one (others cannot smuggle a second meaning in).
 * Thread: the owner of the arena.
 */
#include "xml/form.h"
#include "base/err.h"

static const struct node *find_field(const struct node *form, struct str var)
{
	if (!form)
		return NULL;
	node_each (f, form)
		if (node_is(f, A_field, NS_DATA) && str_eq(node_attr(f, "var"), var))
			return f;
	return NULL;
}

struct str form_value(struct arena *a, const struct node *form, const char *var)
{
	const struct node *f = find_field(form, str_c(var)), *v;

	if (!f)
		return STR_NONE;
	v = node_child(f, A_value, NS_DATA);
	return v ? node_text(a, v) : STR("");
}

struct str form_type(struct arena *a, const struct node *form)
{
	return form_value(a, form, "FORM_TYPE");
}

size_t form_values(struct arena *a, const struct node *form, const char *var, struct str **out)
{
	const struct node *f = find_field(form, str_c(var)), *first;
	size_t n = 0;

	*out = NULL;
	first = f ? node_child(f, A_value, NS_DATA) : NULL;
	for (const struct node *v = first; v; v = node_next_same(v))
		n++;
	if (n == 0)
		return 0;
	struct str *values = arena_alloc(a, n * sizeof *values);
	n = 0;
	for (const struct node *v = first; v; v = node_next_same(v))
		values[n++] = node_text(a, v);
	*out = values;
	return n;
}

int form_bool(struct arena *a, const struct node *form, const char *var, bool *out)
{
	struct str v = form_value(a, form, var);

	if (!v.p)
		return ERR_NOT_FOUND;
	if (str_eq(v, STR("1")) || str_eq(v, STR("true")))
		*out = true;
	else if (str_eq(v, STR("0")) || str_eq(v, STR("false")))
		*out = false;
	else
		return ERR_SYNTAX;
	return 0;
}

struct node *form_new(struct arena *a, struct node *parent, const char *type, const char *form_type)
{
	struct node *form = node_set(a, node_add(a, parent, A_x, NS_DATA), "type", str_c(type));

	if (form_type)
		form_field(a, form, "FORM_TYPE", "hidden", NULL, str_c(form_type));
	return form;
}

struct node *form_field(struct arena *a, struct node *form, const char *var, const char *type, const char *label,
			struct str value)
{
	struct node *f = node_add(a, form, A_field, NS_DATA);

	if (var)
		node_set(a, f, "var", str_c(var));
	if (type)
		node_set(a, f, "type", str_c(type));
	if (label)
		node_set(a, f, "label", str_c(label));
	if (value.p)
		form_field_value(a, f, value);
	return f;
}

void form_field_value(struct arena *a, struct node *field, struct str value)
{
	node_add_text(a, field, A_value, NS_DATA, value);
}

void form_field_option(struct arena *a, struct node *field, const char *label, struct str value)
{
	struct node *o = node_add(a, field, A_option, NS_DATA);

	if (label)
		node_set(a, o, "label", str_c(label));
	form_field_value(a, o, value);
}

/*
 * HR data in: a CSV file becomes departments, accounts and people (design section 6). Planned and its passwords turned into keys on helper threads,
 * written in one commit, then shown to everybody online. Idempotent: a second run changes nothing. Knows no XML.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

struct org_import_request {
	struct str domain;           /* one of im.domains */
	struct str csv;              /* UTF-8, header id,login,password,full_name,department,position,email,phone,head; comma or semicolon */
	struct str actor;            /* for the audit log */
	bool dry_run;                /* only tell what would change */
	bool disable_missing;        /* disable accounts of people who are not in the file any more */
};
struct org_import_result {
	int err;
	struct err_msg msg;          /* why, with the line of the file */
	size_t added, changed, unchanged, missing, disabled, departments_added, departments_removed;
	struct str report;           /* a line for each change and warning */
};
typedef void org_import_fn(void *ctx, const struct org_import_result *r);
/* Copies everything. done on this worker, exactly once, never nested. Passwords of accounts that exist already are not touched. */
void org_import_start(const struct org_import_request *rq, org_import_fn *done, void *ctx);

/* The parser alone: calls row for each record with n fields (after the header is matched). For the fuzzer and tests. */
enum org_column { COL_ID, COL_LOGIN, COL_PASSWORD, COL_NAME, COL_DEPT, COL_POSITION, COL_EMAIL, COL_PHONE, COL_HEAD, COLUMNS };
typedef int org_row_fn(void *ctx, size_t line, const struct str v[COLUMNS], struct err_msg *msg);
int org_csv_parse(struct str csv, org_row_fn *row, void *ctx, struct err_msg *msg);

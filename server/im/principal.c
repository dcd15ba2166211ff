/* Who may act as whom (row I14): the one function about authors and the one about scopes. Any thread, no state. */
#include "server/im/principal.h"
#include "base/err.h"

bool principal_has(const struct principal *p, unsigned scope)
{
	switch (p->kind) {
	case PRINCIPAL_CONTROL: return true;
	case PRINCIPAL_SERVICE: return (p->scopes & scope) == scope;
	case PRINCIPAL_USER: return p->is_admin && (scope & ~(SCOPE_ORG | SCOPE_ADMIN | SCOPE_CHATS)) == 0;
	case PRINCIPAL_NONE: break;
	}
	return false;
}

int may_speak_as(const struct principal *p, uint32_t author)
{
	if (p->kind == PRINCIPAL_USER)
		return author && author == p->account ? 0 : ERR_FORBIDDEN;
	return principal_has(p, author ? SCOPE_SEND_AS : SCOPE_SYSTEM) ? 0 : ERR_FORBIDDEN;
}

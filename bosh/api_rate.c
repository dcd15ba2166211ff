/*
 * How often a token may ask (limits api_rate and api_burst): token buckets of this worker by a keyed hash. Tokens whose hash falls together share one, which
 * only makes them stricter. Worker of the connection.
 */
#include "bosh/api.h"
#include "base/clock.h"
#include "server/net/bucket.h"
#include "server/net/limits.h"

#define BUCKETS 1024

bool api_rate_allows(struct http_request *rq)
{
	static _Thread_local struct bucket buckets[BUCKETS];
	struct bucket *b = &buckets[str_hash(rq->token) % BUCKETS];
	uint64_t now = clock_mono_ms();

	if (!b->rate || b->rate != limits()->api_rate || b->burst != limits()->api_burst)
		bucket_init(b, limits()->api_rate, limits()->api_burst, now);
	if (bucket_level(b, now) > 0) {
		bucket_take(b, 1, now);
		return true;
	}
	limit_hit("api_rate");
	answer_error_with(rq, 429, "rate",
			  "Too many requests with this token: repeat in a second, and ask for more at once",
			  "Retry-After: 1\r\n");
	return false;
}

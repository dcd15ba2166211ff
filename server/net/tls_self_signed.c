/*
 * The pair of key and certificate that the server makes for itself at first start, so that nobody ever runs without TLS for want of a
 * certificate. Main thread. Files appear whole or not at all: written beside, flushed, renamed; the key before the certificate, so
 * that a crash in between leaves a key for which the next start makes the certificate.
 */
#include "base/err.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/net/tls_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <idn-free.h>
#include <idna.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAYS = 3650, SECONDS_OF_DAY = 86400, SERIAL_BITS = 127, CN_MAX = 64 };

/* --- files -------------------------------------------------------------------------------------------------------------- */
static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int rc = fsync(fd);
	close(fd);
	return rc;
}

/* Writes key or cert (the other one is NULL) to path. */
static int write_pem(const char *dir, const char *path, EVP_PKEY *key, X509 *cert, struct err_msg *msg)
{
	char tmp[PATH_MAX + 8];
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	unlink(tmp); /* of a start that was cut short */
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, key ? 0600 : 0644);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f) {
		int rc = err_set(msg, err_from_errno(errno), "%s: %s: the server's user must be able to write to %s",
				 tmp, strerror(errno), dir);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	int written = key ? PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) : PEM_write_X509(f, cert);
	bool good = written == 1 && fflush(f) == 0 && fsync(fd) == 0;
	good = fclose(f) == 0 && good;
	if (good && rename(tmp, path) == 0 && sync_dir(dir) == 0)
		return 0;
	int rc = err_set(msg, ERR_IO, "%s: could not be written (%s): check space and permissions of %s", path,
			 strerror(errno), dir);
	unlink(tmp);
	return rc;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return NULL;
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t) "");
	fclose(f);
	return key;
}

/* --- certificate ---------------------------------------------------------------------------------------------------------- */
/* An IP address as iPAddress, a domain as dNSName in its ASCII form (RFC 9525). */
static bool add_name(GENERAL_NAMES *san, const char *domain)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(domain);
	GENERAL_NAME *g = GENERAL_NAME_new();
	if (!g || ip) {
		if (g)
			GENERAL_NAME_set0_value(g, GEN_IPADD, ip);
		return g && sk_GENERAL_NAME_push(san, g) > 0;
	}
	ERR_clear_error(); /* it was no IP address */
	char *ascii = NULL;
	ASN1_IA5STRING *dns = ASN1_IA5STRING_new();
	bool good = dns && idna_to_ascii_8z(domain, &ascii, 0) == IDNA_SUCCESS && ASN1_STRING_set(dns, ascii, -1) == 1;
	idn_free(ascii);
	if (!good) {
		ASN1_IA5STRING_free(dns);
		GENERAL_NAME_free(g);
		return false;
	}
	GENERAL_NAME_set0_value(g, GEN_DNS, dns);
	return sk_GENERAL_NAME_push(san, g) > 0;
}

static bool add_san(X509 *cert, const struct tls_options *o)
{
	GENERAL_NAMES *san = sk_GENERAL_NAME_new_null();
	bool good = san != NULL;
	for (size_t i = 0; i < o->n_domains && good; i++)
		good = add_name(san, o->domains[i]);
	good = good && X509_add1_ext_i2d(cert, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT) == 1;
	GENERAL_NAMES_free(san);
	return good;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool good = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

static bool set_serial(X509 *cert)
{
	BIGNUM *bn = BN_new();
	bool good = bn && BN_rand(bn, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
		    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
	BN_free(bn);
	return good;
}

static bool set_dates(X509 *cert)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	/* From yesterday on: the clocks of clients differ. */
	return X509_time_adj_ex(X509_getm_notBefore(cert), -1, 0, &now) &&
	       X509_time_adj_ex(X509_getm_notAfter(cert), DAYS, 0, &now);
}

static X509 *make_certificate(const struct tls_options *o, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	if (!cert)
		return NULL;
	X509_NAME *name = X509_get_subject_name(cert);
	const char *cn = o->n_domains > 0 ? o->domains[0] : "localhost";
	if (strlen(cn) > CN_MAX)
		cn = "vestnik"; /* RFC 5280 upper bound; the names that count are in the SAN */
	bool good = X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) && set_dates(cert) &&
		    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
		    X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1 &&
		    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
		    add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
		    add_extension(cert, NID_ext_key_usage, "serverAuth") && (o->n_domains == 0 || add_san(cert, o)) &&
		    X509_sign(cert, key, EVP_sha256()) > 0;
	if (good)
		return cert;
	X509_free(cert);
	return NULL;
}

int tls_self_signed(const struct tls_options *o, const char *cert_path, const char *key_path, struct err_msg *msg)
{
	char text[160];
	bool has_cert = access(cert_path, F_OK) == 0, has_key = access(key_path, F_OK) == 0;
	if (has_cert && has_key)
		return 0;
	if (has_cert)
		return err_set(msg, ERR_NOT_FOUND,
			       "%s is missing beside %s: restore it, or remove both for a new self-signed pair",
			       key_path, cert_path);
	ERR_clear_error();
	EVP_PKEY *key = has_key ? read_key(key_path) : EVP_EC_gen("P-256");
	X509 *cert = key ? make_certificate(o, key) : NULL;
	int rc;
	if (!key)
		rc = err_set(msg, ERR_CRYPTO, "%s: no usable key (%s): remove it for a new self-signed pair", key_path,
			     tls_error_text(text, sizeof(text)));
	else if (!cert)
		rc = err_set(msg, ERR_CRYPTO,
			     "no self-signed certificate could be made (%s): check the names in domains, or give "
			     "tls.certificate",
			     tls_error_text(text, sizeof(text)));
	else
		rc = has_key ? 0 : write_pem(o->data_dir, key_path, key, NULL, msg);
	if (rc == 0)
		rc = write_pem(o->data_dir, cert_path, NULL, cert, msg);
	if (rc == 0)
		log_info("tls.self_signed", LC("certificate", cert_path));
	X509_free(cert);
	EVP_PKEY_free(key);
	return rc;
}

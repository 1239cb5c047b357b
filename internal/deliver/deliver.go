// Package deliver makes the files that a device installs: the PKCS#12 file with
// key, certificate and issuing CA (RFC 7292), its install password, its file name
// and its media type; and for iPhone, iPad and Mac the configuration profile
// around it, signed as CMS (RFC 5652).
//
// It refuses input that a phone would later report as a "wrong password" or a
// broken file: an empty or non-ASCII password, a key that does not belong to the
// certificate, a key type other than RSA and ECDSA. It leaves out self-signed
// certificates: macOS trusts any CA in a PKCS#12 file and Windows asks about each,
// so trust anchors are delivered separately.
//
// # The name on the device
//
// go-pkcs12 writes no friendlyName (RFC 2985 section 5.5.1), and a phone then shows
// a hash. The bag of the key is in a content that is not itself encrypted, so
// [PKCS12] adds the name there and computes the MAC again: one more derivation, and
// no cipher code of our own. OpenSSL, NSS, GnuTLS and Java all take the name from
// this bag, as the tests check. A name in the certificate's bag too would mean to
// encrypt it again, three derivations in the legacy format, for a column in
// Windows' certificate list.
package deliver

// Media types of downloads. Android's installer and Apple's browsers match them
// exactly and open nothing of another type.
const (
	// TypePKCS12 is for .p12 files.
	TypePKCS12 = "application/x-pkcs12"
	// TypeProfile is for Apple profiles, .mobileconfig.
	TypeProfile = "application/x-apple-aspen-config"
	// TypeCertificate is for one certificate in DER, .cer.
	TypeCertificate = "application/x-x509-ca-cert"
	// TypePEM is for one or more certificates in PEM, .pem.
	TypePEM = "application/x-pem-file"
	// TypePKCS7 is for a degenerate PKCS#7 of certificates, .p7b.
	TypePKCS7 = "application/x-pkcs7-certificates"
	// TypeCRL is for revocation lists in DER, .crl (RFC 2585 section 4.2).
	TypeCRL = "application/pkix-crl"
)

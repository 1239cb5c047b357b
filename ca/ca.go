// Package ca holds the portal's X.509: key kinds, key files under a passphrase,
// a root and an issuing CA, the User certificate and the portal's own server
// certificate, certificate revocation lists and bundles of trust anchors.
//
// Issuing has two halves, so that a caller can record what will be signed
// before it is signed. [Issuer.Prepare] builds the certificate from a [Profile]
// (what the administrator set), a [Subject] (what the directory said) and a bare
// public key, signs it with a throwaway key and lets lints refuse it.
// [Issuer.Sign] signs exactly the bytes that were linted, once. No function
// takes a certificate request, so that nothing in a request but its public key
// can reach a certificate.
//
// The package follows RFC 5280 (certificates and CRLs), RFC 5480 and RFC 8813
// (elliptic curve keys), MS-WCCE 2.2.2.7.7.4 (the SID extension) and RFC 5652
// section 5.2 (certificates-only messages). It refuses weak and unusual keys,
// ambiguous names, validity beyond the issuer's own, and any certificate with a
// lint finding, notices included.
//
// The package reads no clock, flag or environment: times come in as arguments,
// keys as [crypto.Signer]. Randomness is crypto/rand.
package ca

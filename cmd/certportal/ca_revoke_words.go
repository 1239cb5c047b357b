package main

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"certportal/cmd/certportal/internal/config"
)

// reasonName is the word for a reason of a CA's revocation.
func reasonName(code int) string {
	switch code {
	case 1:
		return "keyCompromise"
	case 2:
		return "cACompromise"
	case 4:
		return "superseded"
	}
	return "cessationOfOperation"
}

// opensslReason is the same as openssl ca writes it.
func opensslReason(code int) string {
	return strings.Replace(reasonName(code), "cAC", "CAC", 1)
}

// sha1Of is the thumbprint of a certificate, by which Windows names it.
func sha1Of(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}

// ntAuthAddress is the entry of the forest that certutil opens, of the domain of the
// settings or of an example.
func ntAuthAddress(s *config.Settings) string {
	domain := s.Directory.Domain
	if domain == "" {
		domain = "corp.example"
	}
	return "ldap:///CN=NTAuthCertificates,CN=Public Key Services,CN=Services,CN=Configuration,DC=" + strings.ReplaceAll(domain, ".", ",DC=") +
		"?cACertificate?base?objectClass=certificationAuthority"
}

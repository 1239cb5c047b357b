package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" // to recognize the signatures of old roots
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"
)

// pool is all certificates that a chain may be made of.
func (c *importCheck) pool() []*x509.Certificate {
	pool := slices.Concat(c.Given, c.Chain)
	if c.Folder == nil {
		return pool
	}
	if c.Folder.root != nil {
		pool = append(pool, c.Folder.root)
	}
	for _, a := range c.Folder.authorities {
		pool = append(pool, a.Chain...)
	}
	return pool
}

// buildChain finds the way to a self-signed root, or says which certificate is missing.
func (c *importCheck) buildChain(p *Proposal) {
	pool := c.pool()
	way, complete := wayToRoot(p.Certificate, pool)
	p.Chain = way
	if complete {
		return
	}
	last := p.Certificate
	if len(way) > 0 {
		last = way[len(way)-1]
	}
	if slices.ContainsFunc(pool, func(other *x509.Certificate) bool {
		return bytes.Equal(other.RawSubject, last.RawIssuer) && !other.Equal(last)
	}) {
		c.add(ImportError, "Ask for the certificate of that CA with the key that signed; after a renewal there are several. "+fromAIA(last),
			"%s is not signed by the certificate of %q that was given, which has another key%s.", short(last), last.Issuer, keyIDs(last))
		return
	}
	c.add(ImportError, "Ask for this CA's certificate. "+fromAIA(last), "The certificate of %q, the issuer of %s, is missing.", last.Issuer, short(last))
}

// keyIDs says which key identifier is looked for.
func keyIDs(cert *x509.Certificate) string {
	if len(cert.AuthorityKeyId) == 0 {
		return ""
	}
	return "; the key identifier must be " + strings.Join(keyID(cert.AuthorityKeyId), "")
}

// fromAIA says where a certificate's issuer can be downloaded.
func fromAIA(cert *x509.Certificate) string {
	for _, address := range cert.IssuingCertificateURL {
		return "It should be at " + printed(address) + ", and on the CA: certutil -ca.cert FILE."
	}
	return "On an AD CS: certutil -ca.cert FILE, or certutil -ca.chain FILE for the whole chain."
}

// wayToRoot goes from a certificate to a self-signed root by the shortest way; complete
// reports that it got there. Otherwise it gives the longest way. Cross certificates and
// renewed ones can open several; each is visited once.
func wayToRoot(cert *x509.Certificate, pool []*x509.Certificate) (way []*x509.Certificate, complete bool) {
	pool = slices.Clone(pool)
	slices.SortStableFunc(pool, func(a, b *x509.Certificate) int { return b.NotAfter.Compare(a.NotAfter) })
	ways := [][]*x509.Certificate{{cert}}
	visited := []*x509.Certificate{cert}
	for n := 0; n < len(ways); n++ {
		last := ways[n][len(ways[n])-1]
		for _, parent := range pool {
			if slices.ContainsFunc(visited, parent.Equal) || !bytes.Equal(parent.RawSubject, last.RawIssuer) || !signedBy(last, parent) {
				continue
			}
			visited = append(visited, parent)
			next := append(slices.Clone(ways[n]), parent)
			if selfIssued(parent) && signedBy(parent, parent) {
				return next[1:], true
			}
			ways = append(ways, next)
		}
	}
	return ways[len(ways)-1][1:], false
}

// signedBy reports whether a parent signed a certificate. Algorithms that are refused
// later count, so that the chain is known when the refusal is written.
func signedBy(cert, parent *x509.Certificate) bool {
	err := parent.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
	if err == nil {
		return true
	}
	var insecure x509.InsecureAlgorithmError
	if errors.As(err, &insecure) && isSHA1(cert.SignatureAlgorithm) {
		return verifySHA1(cert, parent.PublicKey)
	}
	// What cannot be verified is linked by the key identifier, so that the algorithm is
	// what is refused.
	unverified := errors.As(err, &insecure) || errors.Is(err, x509.ErrUnsupportedAlgorithm)
	return unverified && (cert.Equal(parent) || len(cert.AuthorityKeyId) > 0 && bytes.Equal(cert.AuthorityKeyId, parent.SubjectKeyId))
}

func isSHA1(a x509.SignatureAlgorithm) bool { return a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1 }

// verifySHA1 verifies a signature that crypto/x509 refuses to.
func verifySHA1(cert *x509.Certificate, pub crypto.PublicKey) bool {
	sum := sha1.Sum(cert.RawTBSCertificate)
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], cert.Signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum[:], cert.Signature)
	}
	return false
}

const (
	askHash = "On the CA that signed it: certutil -setreg ca\\csp\\CNGHashAlgorithm SHA256, restart certsvc, and submit the request again; " +
		"a CA with an old CSP must first move to a key storage provider."
	askPSS = "On the CA that signed it: AlternateSignatureAlgorithm=0 in CAPolicy.inf, " +
		"certutil -setreg ca\\csp\\AlternateSignatureAlgorithm 0, restart certsvc, and submit the request again."
)

// checkSignatures looks at signature algorithms and keys. The signature of the root is
// verified by no program, as the root itself is trusted.
func (c *importCheck) checkSignatures(path []*x509.Certificate) {
	for i, cert := range path {
		if i > 0 {
			c.checkKey(cert)
		}
		if selfIssued(cert) && i == len(path)-1 {
			continue
		}
		switch a := cert.SignatureAlgorithm; a {
		case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
			c.add(ImportError, askHash, "%s is signed with SHA-1, which phones and servers refuse.", short(cert))
		case x509.MD5WithRSA, x509.MD2WithRSA:
			c.add(ImportError, askHash, "%s is signed with MD5, which can be forged.", short(cert))
		case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
			c.add(ImportWarning, askPSS, "%s is signed with RSASSA-PSS, which several phones and servers cannot read.", short(cert))
		case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		default:
			c.add(ImportError, "Ask for a signature with RSA or ECDSA and SHA-256, SHA-384 or SHA-512.",
				"%s is signed with an algorithm that phones and servers cannot read.", short(cert))
		}
	}
}

// checkKey refuses weak keys above the portal.
func (c *importCheck) checkKey(cert *x509.Certificate) {
	const ask = "This CA needs a new key and certificate before others are issued under it: on AD CS, renew it with a new key pair."
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 {
			c.add(ImportError, ask, "The key of %s has %d bits: RSA needs 2048 or more.", short(cert), bits)
		} else if weak := weakModulus(key.N); weak != "" {
			c.add(ImportError, ask, "The key of %s is weak: %s.", short(cert), weak)
		}
	case *ecdsa.PublicKey:
		if key.Curve.Params().BitSize < 256 {
			c.add(ImportError, ask, "The key of %s is on the curve %s: want P-256 or more.", short(cert), key.Curve.Params().Name)
		}
	default:
		c.add(ImportError, ask, "The key of %s is neither RSA nor an elliptic curve that phones and servers can read.", short(cert))
	}
}

const (
	// importMargin is how long new certificates must be possible after an import.
	importMargin = 30 * 24 * time.Hour
	// importNotice is from when on no word is lost about the end of a new CA.
	importNotice = 365 * 24 * time.Hour

	askLonger = "A CA's certificate from AD CS lasts as long as the template, the registry and the issuer allow: " +
		"certutil -setreg ca\\ValidityPeriodUnits 5, certutil -setreg ca\\ValidityPeriod Years, restart certsvc, and submit the request again. " +
		"With OpenSSL: -days."
)

// checkTimes compares the chain with the validity of the certificates to be issued.
func (c *importCheck) checkTimes(path []*x509.Certificate) {
	ending := path[0]
	for _, cert := range path {
		switch {
		case c.Now.Before(cert.NotBefore):
			c.add(ImportError, "", "%s is valid from %s on, not yet. If that is not so, a clock is wrong: here it is %s.",
				short(cert), cert.NotBefore.UTC().Format(time.RFC3339), c.Now.UTC().Format(time.RFC3339))
		case c.Now.After(cert.NotAfter):
			c.add(ImportError, "Ask for the renewed certificate of this CA, or for a certificate from one that is valid.",
				"%s ended on %s.", short(cert), cert.NotAfter.UTC().Format(time.DateOnly))
		}
		if cert.NotAfter.Before(ending.NotAfter) {
			ending = cert
		}
	}
	left := ending.NotAfter.Sub(c.Now)
	days := int(c.Needs.Validity / (24 * time.Hour))
	switch {
	case left < 0:
	case left < c.Needs.Validity+importMargin:
		c.add(ImportError, askLonger+" Or set certificates.days to fewer.",
			"%s ends on %s: certificates of %d days (certificates.days) could be issued below it for less than a month.",
			short(ending), ending.NotAfter.UTC().Format(time.DateOnly), days)
	case left < c.Needs.Validity+importNotice:
		c.add(ImportNote, askLonger, "%s ends on %s: in less than a year its successor must be there, so that certificates last %d days.",
			short(ending), ending.NotAfter.UTC().Format(time.DateOnly), days)
	}
}

// checkPathLengths counts the CAs below each.
func (c *importCheck) checkPathLengths(path []*x509.Certificate) {
	below := 0 // CAs below, but those named like their issuer (RFC 5280 section 6.1.4 (l))
	for i, cert := range path {
		if i > 0 && cert.BasicConstraintsValid && cert.MaxPathLen >= 0 && cert.MaxPathLen < below {
			c.add(ImportError, "This CA needs a certificate with a longer path or none: in its CAPolicy.inf [BasicConstraintsExtension] PathLength; "+
				"or ask for a signature by a CA above it.",
				"%s has the path length %d: it allows %d CAs below it, and with the portal there are %d.", short(cert), cert.MaxPathLen, cert.MaxPathLen, below)
		}
		if !selfIssued(cert) {
			below++
		}
	}
}

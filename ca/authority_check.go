package ca

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ImportLevel says what a [Problem] means for an import.
type ImportLevel int

// The levels of problems.
const (
	ImportNote    ImportLevel = iota // worth knowing
	ImportWarning                    // an administrator must accept it
	ImportError                      // the certificate cannot be used
)

// Problem is one thing that is wrong with a certificate from a company's CA. Both texts
// are sentences for an administrator.
type Problem struct {
	Level ImportLevel
	Text  string // what is wrong
	Ask   string // what to ask the CA's administrator for; may be empty
}

// AuthorityNeeds is what certificates below a new issuing CA will hold.
type AuthorityNeeds struct {
	Validity     time.Duration // of User certificates
	ExtKeyUsages []string      // of User certificates, as in [ProfileConfig]
	Subject      SubjectForm
	Domains      []string // of UPNs and e-mail addresses
	Hosts        []string // names and addresses in the portal's own TLS certificate
}

// ImportConfig is what [CheckAuthority] judges.
type ImportConfig struct {
	Given    []*x509.Certificate // from the file that should hold the CA's certificate
	Chain    []*x509.Certificate // Optional: from other files
	Requests []Request           // pending
	Folder   *Folder             // Optional: nil before there is a CA
	Needs    AuthorityNeeds
	Now      time.Time
}

// Proposal is an issuing CA as it would be imported.
type Proposal struct {
	Request     Request
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // from the direct issuer to the root; shorter if one is missing
}

// importCheck collects problems.
type importCheck struct {
	ImportConfig
	problems []Problem
}

func (c *importCheck) add(level ImportLevel, ask, format string, args ...any) {
	p := Problem{Level: level, Text: fmt.Sprintf(format, args...), Ask: ask}
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

// CheckAuthority finds the certificate of a pending request among those given, builds its
// chain to a self-signed root, and says all that is wrong with them in one list. It does
// not fetch anything. The proposal is complete when no problem is an [ImportError].
func CheckAuthority(cfg ImportConfig) (Proposal, []Problem) {
	c := &importCheck{ImportConfig: cfg}
	p := Proposal{}
	if !c.choose(&p) {
		return p, c.problems
	}
	c.checkOwn(p)
	c.buildChain(&p)
	for i, cert := range p.Chain {
		c.checkIssuerOf(cert, i == len(p.Chain)-1 && selfIssued(cert))
	}
	path := append([]*x509.Certificate{p.Certificate}, p.Chain...)
	c.checkSignatures(path)
	c.checkTimes(path)
	c.checkPathLengths(path)
	c.checkUsages(path)
	c.checkPolicies(path)
	c.checkNames(path)
	c.checkExtensions(path)
	return p, c.problems
}

// choose finds the certificate to import.
func (c *importCheck) choose(p *Proposal) bool {
	for _, certs := range [][]*x509.Certificate{c.Given, c.Chain} {
		for _, cert := range certs {
			for _, r := range c.Requests {
				if !bytes.Equal(cert.RawSubjectPublicKeyInfo, r.Request.RawSubjectPublicKeyInfo) || cert.Equal(p.Certificate) {
					continue
				}
				if p.Certificate != nil {
					c.add(ImportError, "", "There are two certificates for requests, %s and %s: give the one that shall be imported.",
						short(p.Certificate), short(cert))
					return false
				}
				p.Certificate, p.Request = cert, r
			}
		}
		if p.Certificate != nil {
			return true
		}
	}
	c.explainNone()
	return false
}

// explainNone says what was given instead of the certificate of a pending request.
func (c *importCheck) explainNone() {
	if len(c.Given) == 0 {
		c.add(ImportError, "", "The file holds no certificate.")
		return
	}
	cert := c.Given[0]
	for _, other := range c.Given {
		if !selfIssued(other) {
			cert = other
			break
		}
	}
	if c.Folder != nil {
		for _, a := range c.Folder.Authorities() {
			switch {
			case a.Certificate.Equal(cert):
				c.add(ImportError, "", "%s is the certificate of %s, which is imported already.", short(cert), a.Name)
				return
			case sameKey(a.Certificate.PublicKey, cert.PublicKey):
				c.add(ImportError, "", "%s is another certificate for the key of %s, which issues already. "+
					"A CA is not renewed with the same key here: make a new request with certportal ca csr.", short(cert), a.Name)
				return
			}
		}
	}
	what := "the certificate of a CA with another key"
	if !cert.IsCA {
		what = "not the certificate of a CA, but of an end entity"
	}
	var pending []string
	for _, r := range c.Requests {
		pending = append(pending, fmt.Sprintf("%s (%s)", r.Name, r.Request.Subject))
	}
	if len(pending) == 0 {
		c.add(ImportError, "", "%s is %s, and no request waits for a certificate: make one with certportal ca csr.", short(cert), what)
		return
	}
	c.add(ImportError, "Ask for the certificate that was issued for this very request; in certsrv.msc it is under Issued Certificates.",
		"%s is %s: it belongs to no request of this portal. Waiting: %s.", short(cert), what, strings.Join(pending, ", "))
}

const (
	askTemplate = "Submit the request again with the template Subordinate Certification Authority: " +
		"certreq -submit -attrib \"CertificateTemplate:SubCA\" FILE. With OpenSSL: an extension file with " +
		"basicConstraints=critical,CA:TRUE,pathlen:0 and keyUsage=critical,keyCertSign,cRLSign."
	askKeyIdentifier = "With OpenSSL: an extension file with subjectKeyIdentifier=hash and authorityKeyIdentifier=keyid."
)

// checkOwn looks at the certificate of the new issuing CA by itself.
func (c *importCheck) checkOwn(p Proposal) {
	cert := p.Certificate
	if !cert.BasicConstraintsValid || !cert.IsCA {
		c.add(ImportError, askTemplate, "%s is the certificate of an end entity: it lacks basicConstraints CA:TRUE.", short(cert))
	} else if cert.KeyUsage&x509.KeyUsageCertSign == 0 || cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		c.add(ImportError, askTemplate, "%s may not sign certificates and revocation lists: its key usage lacks keyCertSign or cRLSign.", short(cert))
	}
	if cert.SerialNumber.Sign() == 0 {
		c.add(ImportError, "Ask for a certificate with a serial number above zero.", "%s has the serial number 0, which programs refuse.", short(cert))
	}
	if len(cert.SubjectKeyId) == 0 {
		c.add(ImportError, askKeyIdentifier, "%s has no subject key identifier.", short(cert))
	}
	if len(cert.RawSubject) <= 2 {
		c.add(ImportError, "Ask for the name that the request has.", "The certificate has no name.")
	} else if !bytes.Equal(cert.RawSubject, p.Request.Request.RawSubject) && cert.Subject.String() != p.Request.Request.Subject.String() {
		c.add(ImportWarning, "Where the name matters, ask for the one in the request; AD CS keeps it unless the template builds the subject from Active Directory.",
			"The CA changed the name: asked for %s, got %s.", p.Request.Request.Subject, cert.Subject)
	}
	if selfIssued(cert) {
		c.add(ImportError, "Ask for a certificate that is signed by the company's CA.", "%s is named like its issuer.", short(cert))
	}
	if c.Folder != nil {
		c.checkOthers(cert)
	}
	if !hasHTTP(cert.CRLDistributionPoints) {
		c.add(ImportNote, "Ask for an http address in the CDP extension of the CA: certsrv.msc, properties, Extensions.",
			"%s names no http address of a revocation list: servers outside the domain, and this portal, cannot check whether it is revoked.", short(cert))
	}
}

func hasHTTP(addresses []string) bool {
	return slices.ContainsFunc(addresses, func(a string) bool { return strings.HasPrefix(strings.ToLower(a), "http") })
}

// checkOthers compares the new issuing CA with those that are there.
func (c *importCheck) checkOthers(cert *x509.Certificate) {
	for _, a := range c.Folder.Authorities() {
		for _, other := range append([]*x509.Certificate{a.Certificate}, a.Chain...) {
			if bytes.Equal(other.SubjectKeyId, cert.SubjectKeyId) && len(cert.SubjectKeyId) > 0 {
				c.add(ImportError, askKeyIdentifier, "%s has the subject key identifier of %s: programs would take one for the other.", short(cert), short(other))
			}
			if bytes.Equal(other.RawSubject, cert.RawSubject) {
				c.add(ImportError, "Make another request with certportal ca csr --subject, with another common name.",
					"%s is named like %s: programs tell CAs apart by their names.", short(cert), a.Name)
			}
		}
	}
}

// checkIssuerOf looks at an issuer of the new CA.
func (c *importCheck) checkIssuerOf(cert *x509.Certificate, root bool) {
	if !cert.BasicConstraintsValid || !cert.IsCA {
		level, ask := ImportError, "Ask which CA has signed the certificate, and for its certificate."
		if cert.Version < 3 && root {
			ask = "The root is an X.509 version 1 certificate, which most programs refuse: the company needs a new root."
		}
		c.add(level, ask, "%s is not the certificate of a CA: it lacks basicConstraints CA:TRUE.", short(cert))
	}
	switch {
	case cert.KeyUsage == 0:
		c.add(ImportNote, "", "%s has no key usage; strict programs refuse such a CA.", short(cert))
	case cert.KeyUsage&x509.KeyUsageCertSign == 0:
		c.add(ImportError, "Ask for the certificate of the CA that signs.", "%s may not sign certificates: its key usage lacks keyCertSign.", short(cert))
	case cert.KeyUsage&x509.KeyUsageCRLSign == 0:
		c.add(ImportWarning, "", "%s may not sign revocation lists: its key usage lacks cRLSign, and servers that check will refuse.", short(cert))
	}
	if len(cert.SubjectKeyId) == 0 {
		c.add(ImportNote, "", "%s has no subject key identifier; strict programs refuse such a CA.", short(cert))
	}
	if !root && !hasHTTP(cert.CRLDistributionPoints) {
		c.add(ImportNote, "", "%s names no http address of a revocation list.", short(cert))
	}
}

// short names a certificate in a sentence.
func short(cert *x509.Certificate) string {
	name := cert.Subject.CommonName
	if name == "" {
		name = cert.Subject.String()
	}
	return fmt.Sprintf("%q", name)
}

// selfIssued reports whether a certificate is named like its issuer.
func selfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubject, cert.RawIssuer) }

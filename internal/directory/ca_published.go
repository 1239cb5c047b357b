package directory

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/portal"
)

// CAFile says where an administrator gets a CA certificate as a file: its name in commands
// and its address, which may be empty.
type CAFile struct{ Name, Address string }

// The containers of CA certificates in Active Directory, below the public key services of
// the forest.
const (
	ntAuth       = "CN=NTAuthCertificates"        // one entry; those that may issue certificates for logon
	trustedRoots = "CN=Certification Authorities" // entries of roots, which every member of the forest trusts
	accessPoints = "CN=AIA"                       // entries of other CAs
	services     = "CN=Enrollment Services"       // entries of the enterprise CAs
	templates    = "CN=Certificate Templates"
	keyServices  = "CN=Public Key Services,CN=Services,"

	attrCACertificate = "cACertificate"
)

// CheckPublished looks whether the forest knows the issuing CAs: each in NTAuth, which
// domain controllers ask before they accept a logon (KB5057784), its root among the trusted
// ones, and what is between them among the intermediate ones. It finds nothing with
// PlainLDAP. It changes nothing; findings have the commands that publish.
func (l *LDAP) CheckPublished(ctx context.Context, authorities []ca.Authority, file func(*x509.Certificate) CAFile) []portal.Finding {
	if l.c.Kind != ActiveDirectory {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.c.Timeout, errTimeout)
	defer cancel()
	c := &publishedCheck{l: l, file: file, done: map[string]bool{}}
	root, err := l.rootDSE(ctx)
	if err != nil {
		c.add("NTAuth", portal.FindingFailed, "published-no-answer", "The directory cannot be read: %v.", err)
		return c.findings
	}
	if root.config == "" {
		c.add("NTAuth", portal.FindingWarning, "published-no-forest", "The server does not name the configuration of the forest, so its CA certificates cannot be read.")
		return c.findings
	}
	for _, a := range authorities {
		c.check(ctx, root, ntAuth, ldap.ScopeBaseObject, "NTAuth", "NTAuthCA", a.Certificate)
		c.check(ctx, root, trustedRoots, ldap.ScopeSingleLevel, "Certification Authorities", "RootCA", a.Root())
		for _, between := range a.Intermediates() {
			c.check(ctx, root, accessPoints, ldap.ScopeSingleLevel, "AIA", "SubCA", between)
		}
	}
	return c.findings
}

// CheckRemoved looks whether revoked issuing CAs are still in NTAuth: there they are worth a
// logon, also where a server has not fetched the revocation list yet. It finds nothing
// with PlainLDAP. It changes nothing; findings have the commands that remove.
func CheckRemoved(ctx context.Context, l *LDAP, revoked []ca.Authority) []portal.Finding {
	if l.c.Kind != ActiveDirectory || len(revoked) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.c.Timeout, errTimeout)
	defer cancel()
	c := &publishedCheck{l: l}
	root, err := l.rootDSE(ctx)
	if err != nil || root.config == "" {
		return nil // CheckPublished says so
	}
	base := ntAuth + "," + keyServices + root.config
	found := c.values(ctx, base, ldap.ScopeBaseObject)
	for _, a := range revoked {
		what := fmt.Sprintf("%s in NTAuth", a.Certificate.Subject.CommonName)
		switch {
		case found.err != nil:
			c.add(what, portal.FindingWarning, "published-unread", "%s cannot be read: %v. Let the portal's account read there.", ntAuth, found.err)
		case slices.ContainsFunc(found.values, func(value []byte) bool { return bytes.Equal(value, a.Certificate.Raw) }):
			c.add(what, portal.FindingFailed, "published-revoked", "The CA was revoked and is still there: who has its key can log on as any account. "+
				"As Enterprise Admin run: certutil -viewdelstore \"ldap:///%s?cACertificate?base?objectClass=certificationAuthority\". "+
				"Then on every domain controller and Exchange server: gpupdate /force.", base)
		default:
			c.add(what, portal.FindingOK, "published-removed", "The CA was revoked, and is not there any more.")
		}
	}
	return c.findings
}

// ReadForest reads the enterprise CAs and certificate templates of the forest, so that an
// administrator can choose from them. It finds nothing with PlainLDAP. Entries that the
// portal's account cannot read are not in it.
func ReadForest(ctx context.Context, l *LDAP) (discovery.Forest, error) {
	if l.c.Kind != ActiveDirectory {
		return discovery.Forest{}, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*l.c.Timeout, errTimeout)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return discovery.Forest{}, fmt.Errorf("reading CAs of the forest: %w", err)
	}
	if root.config == "" {
		return discovery.Forest{}, errors.New("reading CAs of the forest: the server does not name the configuration of the forest")
	}
	var f discovery.Forest
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) error {
		f = discovery.Forest{NetBIOS: root.netbios} // a repeated request begins anew
		err := eachBelow(ctx, conn, services+","+keyServices+root.config, "pKIEnrollmentService", discovery.ServiceAttributes(), f.AddService)
		if err != nil {
			return err
		}
		return eachBelow(ctx, conn, templates+","+keyServices+root.config, "pKICertificateTemplate", discovery.TemplateAttributes(), f.AddTemplate)
	})
	if err != nil {
		return discovery.Forest{}, fmt.Errorf("reading CAs of the forest: %w", err)
	}
	return f, nil
}

// eachBelow reads the entries of a container. A forest without CA has none.
func eachBelow(ctx context.Context, conn *connection, base, class string, attributes []string, add func(discovery.Attributes)) error {
	entries, err := conn.searchAll(ctx, query{base: base, scope: ldap.ScopeSingleLevel, filter: "(objectClass=" + class + ")", attributes: attributes})
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		values := discovery.Attributes{}
		for _, name := range attributes {
			values[name] = e.bytes(name)
		}
		add(values)
	}
	return nil
}

// publishedCheck is one run of CheckPublished or CheckRemoved.
type publishedCheck struct {
	report
	l    *LDAP
	file func(*x509.Certificate) CAFile
	done map[string]bool
	read map[string]*publishedCAs
}

// publishedCAs are the values of one container.
type publishedCAs struct {
	values [][]byte
	err    error
}

// check looks for one certificate in one container. store is the name that certutil has
// for it.
func (c *publishedCheck) check(ctx context.Context, root rootDSE, container string, scope int, name, store string, cert *x509.Certificate) {
	if id := container + string(cert.Raw); c.done[id] {
		return
	} else {
		c.done[id] = true
	}
	what := fmt.Sprintf("%s in %s", cert.Subject.CommonName, name)
	found := c.values(ctx, container+","+keyServices+root.config, scope)
	if found.err != nil {
		c.add(what, portal.FindingWarning, "published-unread", "%s cannot be read: %v. Let the portal's account read there.", container, found.err)
		return
	}
	for _, value := range found.values {
		if !bytes.Equal(value, cert.Raw) {
			continue
		}
		if !c.l.c.Now().Before(cert.NotAfter) {
			c.add(what, portal.FindingFailed, "published-ended", "The certificate is there, and ended on %s: it counts no more.", cert.NotAfter.UTC().Format(time.DateOnly))
			return
		}
		c.add(what, portal.FindingOK, "published", "The certificate is there, valid until %s.", cert.NotAfter.UTC().Format(time.DateOnly))
		return
	}
	c.say(what, portal.FindingWarning, slices.Concat(missing(container, len(found.values)), c.namesakes(found.values, cert), []portal.Sentence{c.remedy(store, cert)})...)
}

// missing says what does not work without the certificate.
func missing(container string, values int) []portal.Sentence {
	said := portal.Say("published-missing", "It is not there.")
	if values == 0 {
		said = portal.Say("published-none", "No certificate is there, or the portal's account cannot read them.")
	}
	hurt := portal.Say("published-hurt-path", "Servers that cannot fetch it elsewhere do not find the way from a phone's certificate to the root.")
	switch container {
	case ntAuth:
		hurt = portal.Say("published-hurt-logon", "Domain controllers and Exchange servers accept no logon with the CA's certificates (KB5057784).")
	case trustedRoots:
		hurt = portal.Say("published-hurt-trust", "Members of the forest do not trust the CA, unless a group policy says so.")
	}
	return []portal.Sentence{said, hurt}
}

// namesakes describes other certificates of the same name, which are easily taken for the
// right one.
func (c *publishedCheck) namesakes(values [][]byte, cert *x509.Certificate) []portal.Sentence {
	for _, value := range values {
		other, err := x509.ParseCertificate(value)
		if err != nil || !bytes.Equal(other.RawSubject, cert.RawSubject) {
			continue
		}
		end := other.NotAfter.UTC().Format(time.DateOnly)
		said := portal.Say("published-namesake", "Another certificate of the same name is there (valid until %s, SHA-256 %s), which does not count for this one.", end, ca.Fingerprint(other))
		if !c.l.c.Now().Before(other.NotAfter) {
			said = portal.Say("published-namesake-ended", "Another certificate of the same name is there (ended on %s, SHA-256 %s), which does not count for this one.", end, ca.Fingerprint(other))
		}
		return []portal.Sentence{said}
	}
	return nil
}

// remedy gives the commands that publish a certificate.
func (c *publishedCheck) remedy(store string, cert *x509.Certificate) portal.Sentence {
	f := c.file(cert)
	if f.Address == "" {
		return portal.Say("published-remedy-elsewhere", "As Enterprise Admin run: certutil -dspublish -f %s %s (get the file from your company's CA). "+
			"Then on every domain controller and Exchange server: gpupdate /force, or certutil -pulse.", f.Name, store)
	}
	return portal.Say("published-remedy", "As Enterprise Admin run: certutil -dspublish -f %s %s (the file is at %s). "+
		"Then on every domain controller and Exchange server: gpupdate /force, or certutil -pulse.", f.Name, store, f.Address)
}

// values reads the certificates of a container once. The limits on answers bound them.
func (c *publishedCheck) values(ctx context.Context, base string, scope int) *publishedCAs {
	if found := c.read[base]; found != nil {
		return found
	}
	found := &publishedCAs{}
	_, found.err = c.l.read(ctx, c.l.people, func(ctx context.Context, conn *connection) error {
		entries, err := conn.searchAll(ctx, query{
			base: base, scope: scope, filter: "(objectClass=certificationAuthority)", attributes: []string{attrCACertificate},
		})
		found.values = nil // a repeated request begins anew
		for _, e := range entries {
			found.values = append(found.values, e.bytes(attrCACertificate)...)
		}
		return err
	})
	if ldap.IsErrorWithCode(found.err, ldap.LDAPResultNoSuchObject) {
		found.err = nil // certutil makes the entry
	}
	if c.read == nil {
		c.read = map[string]*publishedCAs{}
	}
	c.read[base] = found
	return found
}

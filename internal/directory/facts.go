package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// facts are what the servers say about themselves, asked once.
type facts struct {
	base    string // where people are looked for
	domain  string // DN of the domain's head; ActiveDirectory only
	config  string // DN of the forest's configuration; ActiveDirectory only
	netbios string
	people  *ldap.DN // base, parsed
	head    *ldap.DN // domain, parsed
}

// headOrBase is below what all accounts of this directory are.
func (f facts) headOrBase() *ldap.DN {
	if f.head != nil {
		return f.head
	}
	return f.people
}

// factCache keeps the facts once they were read. Until then everybody asks: a
// lock held over a question would let people queue behind a silent server.
type factCache struct {
	mu    sync.Mutex
	known *facts
}

// facts gives base and names of the domain.
func (l *LDAP) facts(ctx context.Context) (facts, error) {
	l.cached.mu.Lock()
	known := l.cached.known
	l.cached.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	f, err := l.readFacts(ctx)
	if err != nil {
		return facts{}, fmt.Errorf("learning about the directory: %w", err)
	}
	l.cached.mu.Lock()
	defer l.cached.mu.Unlock()
	l.cached.known = &f
	return f, nil
}

func (l *LDAP) readFacts(ctx context.Context) (facts, error) {
	f := facts{base: l.c.Base, netbios: l.c.NetBIOS}
	if l.c.Kind == ActiveDirectory {
		_, err := l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
			f, err = l.domainFacts(ctx, k)
			return err
		})
		if err != nil {
			return facts{}, err
		}
	}
	var err error
	if f.people, err = ldap.ParseDN(f.base); err != nil {
		return facts{}, fmt.Errorf("reading base %q: %w", f.base, err)
	}
	return f, nil
}

// domainFacts reads the rootDSE (RFC 4512 section 5.1) and the domain's NetBIOS
// name. A server of another domain is an error: names would mean other people.
func (l *LDAP) domainFacts(ctx context.Context, k *link) (facts, error) {
	entries, err := k.search(ctx, query{
		filter: "(objectClass=*)", attributes: []string{"defaultNamingContext", "configurationNamingContext"},
	})
	if err != nil || len(entries) != 1 {
		return facts{}, errors.Join(errors.New("reading the rootDSE"), err)
	}
	f := facts{
		base: l.c.Base, netbios: l.c.NetBIOS,
		domain: entries[0].first("defaultNamingContext"), config: entries[0].first("configurationNamingContext"),
	}
	if f.head, err = ldap.ParseDN(f.domain); err != nil || f.domain == "" {
		return facts{}, fmt.Errorf("defaultNamingContext %q has an unknown form", f.domain)
	}
	if dns := dnsName(f.head); fold(dns) != fold(l.c.Domain) {
		return facts{}, fmt.Errorf("%s serves the domain %q and not %q", k.server.url, dns, l.c.Domain)
	}
	if f.base == "" {
		f.base = f.domain
	}
	if f.netbios == "" {
		f.netbios, err = readNetBIOS(ctx, k, f)
	}
	return f, err
}

// readNetBIOS reads the name before the backslash from the forest's list of
// domains.
func readNetBIOS(ctx context.Context, k *link, f facts) (string, error) {
	entries, err := k.search(ctx, query{
		base: "CN=Partitions," + f.config, scope: ldap.ScopeSingleLevel, limit: 2,
		filter:     "(&(objectClass=crossRef)(nCName=" + ldap.EscapeFilter(f.domain) + "))",
		attributes: []string{"nETBIOSName"},
	})
	if err != nil {
		return "", fmt.Errorf("reading the NetBIOS name of the domain: %w", err)
	}
	if len(entries) != 1 || entries[0].first("nETBIOSName") == "" {
		return "", errors.New("the server does not tell the NetBIOS name of the domain")
	}
	return entries[0].first("nETBIOSName"), nil
}

// dnsName is the DNS name of a domain's DN: DC=corp,DC=example is corp.example.
func dnsName(dn *ldap.DN) string {
	var labels []string
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if strings.EqualFold(a.Type, "DC") {
				labels = append(labels, a.Value)
			}
		}
	}
	return strings.Join(labels, ".")
}

// contains reports whether a DN lies at or below base.
func contains(base *ldap.DN, dn string) bool {
	parsed, err := ldap.ParseDN(dn)
	return err == nil && (base.EqualFold(parsed) || base.AncestorOfFold(parsed))
}

package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// rootDSE is what the servers publish about themselves and the domain, read once.
type rootDSE struct {
	base    string // base DN of searches for people
	domain  string // DN of the domain's head; ActiveDirectory only
	config  string // DN of the forest's configuration; ActiveDirectory only
	netbios string
	people  *ldap.DN // base, parsed
	head    *ldap.DN // domain, parsed
}

// accountRoot returns the DN that contains all accounts of this directory.
func (root rootDSE) accountRoot() *ldap.DN {
	if root.head != nil {
		return root.head
	}
	return root.people
}

// rootCache holds the rootDSE once it was read. Before that every caller reads it for
// itself: holding the lock during the request would queue callers behind a silent
// server.
type rootCache struct {
	mu    sync.Mutex
	known *rootDSE
}

// rootDSE returns base and names of the domain.
func (l *LDAP) rootDSE(ctx context.Context) (rootDSE, error) {
	l.cached.mu.Lock()
	known := l.cached.known
	l.cached.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	root, err := l.readRootDSE(ctx)
	if err != nil {
		return rootDSE{}, fmt.Errorf("reading the rootDSE: %w", err)
	}
	l.cached.mu.Lock()
	defer l.cached.mu.Unlock()
	l.cached.known = &root
	return root, nil
}

func (l *LDAP) readRootDSE(ctx context.Context) (rootDSE, error) {
	root := rootDSE{base: l.c.Base, netbios: l.c.NetBIOS}
	if l.c.Kind == ActiveDirectory {
		_, err := l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
			root, err = l.readDomain(ctx, conn)
			return err
		})
		if err != nil {
			return rootDSE{}, err
		}
	}
	var err error
	if root.people, err = ldap.ParseDN(root.base); err != nil {
		return rootDSE{}, fmt.Errorf("reading base %q: %w", root.base, err)
	}
	return root, nil
}

// readDomain reads the rootDSE (RFC 4512 section 5.1) and the domain's NetBIOS name. A
// server of another domain is an error: the same login name is another person there.
func (l *LDAP) readDomain(ctx context.Context, conn *connection) (rootDSE, error) {
	entries, err := conn.search(ctx, query{
		filter: "(objectClass=*)", attributes: []string{"defaultNamingContext", "configurationNamingContext"},
	})
	if err != nil || len(entries) != 1 {
		return rootDSE{}, errors.Join(errors.New("the search for the rootDSE has no result"), err)
	}
	root := rootDSE{
		base: l.c.Base, netbios: l.c.NetBIOS,
		domain: entries[0].first("defaultNamingContext"), config: entries[0].first("configurationNamingContext"),
	}
	if root.head, err = ldap.ParseDN(root.domain); err != nil || root.domain == "" {
		return rootDSE{}, fmt.Errorf("defaultNamingContext %q has an unknown form", root.domain)
	}
	if dns := dnsName(root.head); fold(dns) != fold(l.c.Domain) {
		return rootDSE{}, fmt.Errorf("%s serves the domain %q and not %q", conn.server.url, dns, l.c.Domain)
	}
	if root.base == "" {
		root.base = root.domain
	}
	if root.netbios == "" {
		root.netbios, err = readNetBIOS(ctx, conn, root)
	}
	return root, err
}

// readNetBIOS reads the domain's NetBIOS name from the Partitions container.
func readNetBIOS(ctx context.Context, conn *connection, root rootDSE) (string, error) {
	entries, err := conn.search(ctx, query{
		base: "CN=Partitions," + root.config, scope: ldap.ScopeSingleLevel, limit: 2,
		filter:     "(&(objectClass=crossRef)(nCName=" + ldap.EscapeFilter(root.domain) + "))",
		attributes: []string{"nETBIOSName"},
	})
	if err != nil {
		return "", fmt.Errorf("reading the NetBIOS name of the domain: %w", err)
	}
	if len(entries) != 1 || entries[0].first("nETBIOSName") == "" {
		return "", errors.New("the server does not publish the NetBIOS name of the domain")
	}
	return entries[0].first("nETBIOSName"), nil
}

// dnsName returns the DNS name of a domain's DN: corp.example for DC=corp,DC=example.
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

// contains reports whether a DN is base or below it.
func contains(base *ldap.DN, dn string) bool {
	parsed, err := ldap.ParseDN(dn)
	return err == nil && (base.EqualFold(parsed) || base.AncestorOfFold(parsed))
}

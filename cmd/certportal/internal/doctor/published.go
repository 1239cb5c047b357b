package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/url"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/succession"
)

// publishedChecks look whether the forest knows the issuing CAs. There are none without
// Active Directory.
func (d *Doctor) publishedChecks() []check {
	if d.c.Directory == nil || d.c.Settings.Directory.Kind != config.KindActiveDirectory {
		return nil
	}
	return []check{{name: "ntauth", needs: []part{database, authority, people}, sections: []string{"directory"}, run: func(ctx context.Context) []portal.Finding {
		return CheckPublished(ctx, d.c.Directory, d.c.CA.Present(), d.revoked, d.c.Public.HTTP)
	}}}
}

// revoked reports whether an issuing CA was revoked.
func (d *Doctor) revoked(name string) bool {
	of, known := d.c.CA.Line.Named(name)
	return known && of.Record.State == succession.Revoked
}

// CheckPublished looks whether Active Directory has the issuing CAs of a folder, also those
// that are not active yet, and the CAs above them, and none that was revoked.
func CheckPublished(ctx context.Context, people *directory.LDAP, folder *ca.Folder, revoked func(name string) bool, public *url.URL) []portal.Finding {
	var authorities, ended []ca.Authority
	for _, a := range folder.Authorities() {
		if revoked(a.Name) {
			ended = append(ended, a)
			continue
		}
		authorities = append(authorities, a)
	}
	return append(directory.CheckRemoved(ctx, people, ended), checkAdded(ctx, people, folder, authorities, public)...)
}

func checkAdded(ctx context.Context, people *directory.LDAP, folder *ca.Folder, authorities []ca.Authority, public *url.URL) []portal.Finding {
	return people.CheckPublished(ctx, authorities, func(cert *x509.Certificate) directory.CAFile {
		for _, a := range authorities {
			if a.Certificate.Equal(cert) {
				return directory.CAFile{Name: a.Name + ".cer", Address: localca.CertificateURL(public, a.Name)}
			}
		}
		if folder.Root().Equal(cert) {
			return directory.CAFile{Name: localca.RootName + ".cer", Address: localca.CertificateURL(public, localca.RootName)}
		}
		return directory.CAFile{Name: fmt.Sprintf("ca-%x.cer", cert.SerialNumber)}
	})
}

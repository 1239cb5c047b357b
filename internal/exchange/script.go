package exchange

import (
	"crypto/sha1"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"certportal/internal/powershell"
)

//go:embed script.ps1
var source string

// Installation is what the script holds of one portal.
type Installation struct {
	Organization string
	Portal       string // https address

	// Authorities are the issuing CAs whose certificates are in use or will be, each with its issuers, the root last.
	Authorities []Authority
}

// Authority is an issuing CA.
type Authority struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
	Lists       []string // http addresses of the revocation lists of its certificates
}

// placed is a certificate and the container of Active Directory that it belongs into, as
// certutil -dspublish names it. All fields are literals of PowerShell.
type placed struct{ Place, Name, Thumbprint, Data string }

// Script makes the PowerShell script that sets up Exchange for the installation. Every value
// of the installation is a quoted literal.
func Script(i Installation) ([]byte, error) {
	if len(i.Authorities) == 0 {
		return nil, errors.New("there is no issuing CA to set up Exchange for")
	}
	values := struct {
		Organization, Portal string
		Authorities          []placed
		Lists                []string
	}{Organization: powershell.Comment(i.Organization), Portal: powershell.Quote(i.Portal), Authorities: i.placed(), Lists: i.lists()}
	return powershell.Script(source, values)
}

// placed lists the certificates, roots first, each once.
func (i Installation) placed() []placed {
	var all []placed
	known := map[string]bool{}
	add := func(place string, cert *x509.Certificate) {
		hash := sha1.Sum(cert.Raw) // the name of the certificate in a Windows store, not a proof
		thumb := strings.ToUpper(hex.EncodeToString(hash[:]))
		if known[thumb] {
			return
		}
		known[thumb] = true
		all = append(all, placed{powershell.Quote(place), powershell.Quote(nameOf(cert)), powershell.Quote(thumb), powershell.Quote(base64.StdEncoding.EncodeToString(cert.Raw))})
	}
	for _, a := range i.Authorities {
		if n := len(a.Chain); n > 0 {
			add("RootCA", a.Chain[n-1])
		}
	}
	for _, a := range i.Authorities {
		for n := len(a.Chain) - 2; n >= 0; n-- {
			add("SubCA", a.Chain[n])
		}
		add("NTAuthCA", a.Certificate)
	}
	return all
}

func (i Installation) lists() []string {
	var all []string
	known := map[string]bool{}
	for _, a := range i.Authorities {
		for _, address := range a.Lists {
			// Windows fetches lists over http; what else is in a company's certificates is its own.
			if !known[address] && strings.HasPrefix(address, "http://") {
				known[address] = true
				all = append(all, powershell.Quote(address))
			}
		}
	}
	return all
}

func nameOf(cert *x509.Certificate) string {
	if cert.Subject.CommonName != "" {
		return cert.Subject.CommonName
	}
	return cert.Subject.String()
}

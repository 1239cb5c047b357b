// Package discovery reads what Active Directory knows about its CAs: their names, the
// addresses of their enrolment web services, and the certificate templates, with what speaks
// for and against using a template for the portal.
//
// It parses attributes and sends nothing. They are in the Configuration partition, readable
// by every account, below CN=Public Key Services,CN=Services: CAs in CN=Enrollment Services
// (objectClass pKIEnrollmentService), templates in CN=Certificate Templates (objectClass
// pKICertificateTemplate). Sources: MS-CRTD, MS-WCCE section 2.2.2.11, MS-ADA2.
package discovery

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Attributes are those of one entry, by name in any case. Values are as LDAP gives them.
type Attributes map[string][][]byte

// ServiceAttributes lists what [ParseService] reads.
func ServiceAttributes() []string {
	return []string{"cn", "dNSHostName", "cACertificate", "certificateTemplates", "msPKI-Enrollment-Servers"}
}

func (a Attributes) values(name string) [][]byte {
	for key, values := range a {
		if strings.EqualFold(key, name) {
			return values
		}
	}
	return nil
}

func (a Attributes) texts(name string) []string {
	var texts []string
	for _, v := range a.values(name) {
		texts = append(texts, strings.TrimSpace(string(v)))
	}
	return texts
}

func (a Attributes) text(name string) string {
	if texts := a.texts(name); len(texts) > 0 {
		return texts[0]
	}
	return ""
}

// Service is an enterprise CA.
type Service struct {
	Name         string // common name of the entry, which is that of the CA
	Host         string // DNS name of the CA
	Certificates []*x509.Certificate
	Templates    []string // common names of the templates that the CA issues
	Endpoints    []Endpoint
	Unreadable   []string // what of the entry could not be read, for administrators
}

// Config is how Windows tools name the CA: certutil -config "HOST\CA".
func (s Service) Config() string { return s.Host + `\` + s.Name }

// Issues reports whether the CA issues a template.
func (s Service) Issues(template string) bool {
	return slices.ContainsFunc(s.Templates, func(t string) bool { return strings.EqualFold(t, template) })
}

// Usable gives the addresses that the portal can use, the best first: client certificates,
// then passwords, then Kerberos, and among those by the priority of the administrator.
func (s Service) Usable() []Endpoint {
	var usable []Endpoint
	for _, e := range s.Endpoints {
		if e.Usable() {
			usable = append(usable, e)
		}
	}
	slices.SortStableFunc(usable, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(b.Authentication, a.Authentication), cmp.Compare(a.Priority, b.Priority))
	})
	return usable
}

// ParseService reads the entry of a CA. The error says which mandatory attribute is missing;
// other values that cannot be read are in Unreadable.
func ParseService(a Attributes) (Service, error) {
	s := Service{Name: a.text("cn"), Host: a.text("dNSHostName"), Templates: a.texts("certificateTemplates")}
	if s.Name == "" || s.Host == "" {
		return Service{}, errors.New("reading entry of a CA: cn or dNSHostName is missing")
	}
	for _, der := range a.values("cACertificate") {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			s.Unreadable = append(s.Unreadable, fmt.Sprintf("cACertificate: %v", err))
			continue
		}
		s.Certificates = append(s.Certificates, cert)
	}
	for _, value := range a.texts("msPKI-Enrollment-Servers") {
		e, err := ParseEndpoint(value)
		if err != nil {
			s.Unreadable = append(s.Unreadable, err.Error())
			continue
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s, nil
}

// Forest is what a forest knows about its CAs.
type Forest struct {
	Services   []Service
	Templates  []Template
	Unreadable []string // entries that could not be read, for administrators
	NetBIOS    string   // name of the domain; may be empty
}

// AddService parses the entry of a CA and adds it.
func (f *Forest) AddService(a Attributes) {
	s, err := ParseService(a)
	if err != nil {
		f.Unreadable = append(f.Unreadable, err.Error())
		return
	}
	f.Services = append(f.Services, s)
}

// AddTemplate parses the entry of a template and adds it.
func (f *Forest) AddTemplate(a Attributes) {
	t, err := ParseTemplate(a)
	if err != nil {
		f.Unreadable = append(f.Unreadable, err.Error())
		return
	}
	f.Templates = append(f.Templates, t)
}

// Authentication is how clients of an enrolment web service show who they are (MS-XCEP
// section 3.1.4.1.3.7, clientAuthentication).
type Authentication int

// The values of the attribute.
const (
	Anonymous         Authentication = 1
	Kerberos          Authentication = 2
	UsernamePassword  Authentication = 4
	ClientCertificate Authentication = 8
)

// String gives the name that Windows uses in addresses.
func (a Authentication) String() string {
	switch a {
	case Anonymous:
		return "Anonymous"
	case Kerberos:
		return "Kerberos"
	case UsernamePassword:
		return "UsernamePassword"
	case ClientCertificate:
		return "Certificate"
	}
	return strconv.Itoa(int(a))
}

// Endpoint is the address of an enrolment web service.
type Endpoint struct {
	Priority        int64 // lower is preferred
	Authentication  Authentication
	RenewalOnly     bool
	URL             string
	KeyBasedRenewal bool
}

// Usable reports whether the portal can get new certificates there.
func (e Endpoint) Usable() bool {
	return !e.RenewalOnly && slices.Contains([]Authentication{ClientCertificate, UsernamePassword, Kerberos}, e.Authentication)
}

// ParseEndpoint reads a value of msPKI-Enrollment-Servers (MS-ADA2): priority,
// authentication, renewal only, address and, in newer forests, key-based renewal, in lines.
func ParseEndpoint(value string) (Endpoint, error) {
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(value), "\r\n", "\n"), "\n")
	if len(lines) != 4 && len(lines) != 5 {
		return Endpoint{}, fmt.Errorf("msPKI-Enrollment-Servers: value has %d lines, want 4 or 5", len(lines))
	}
	if len(lines) == 4 {
		lines = append(lines, "0")
	}
	var numbers [5]int64
	for _, i := range []int{0, 1, 2, 4} {
		n, err := strconv.ParseInt(strings.TrimSpace(lines[i]), 10, 64)
		if err != nil {
			return Endpoint{}, fmt.Errorf("msPKI-Enrollment-Servers: line %d: want a number", i+1)
		}
		numbers[i] = n
	}
	address, err := url.Parse(strings.TrimSpace(lines[3]))
	if err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil || address.RawQuery != "" || address.Fragment != "" {
		return Endpoint{}, errors.New("msPKI-Enrollment-Servers: line 4: want an address with https")
	}
	return Endpoint{
		Priority: numbers[0], Authentication: Authentication(numbers[1]), RenewalOnly: numbers[2] != 0,
		URL: address.String(), KeyBasedRenewal: numbers[4] != 0,
	}, nil
}

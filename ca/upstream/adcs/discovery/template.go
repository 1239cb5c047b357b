package discovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TemplateAttributes lists what [ParseTemplate] reads.
func TemplateAttributes() []string {
	return []string{
		"cn", "displayName", "flags", "pKIExpirationPeriod", "pKIExtendedKeyUsage",
		"msPKI-Template-Schema-Version", "msPKI-Certificate-Name-Flag", "msPKI-Enrollment-Flag", "msPKI-Private-Key-Flag",
		"msPKI-RA-Signature", "msPKI-RA-Application-Policies", "msPKI-Minimal-Key-Size",
	}
}

// Template is a certificate template.
type Template struct {
	Name         string // common name, which requests give
	DisplayName  string // which the consoles of Windows show
	Version      int    // of its schema: 1 for the templates of Windows 2000, such as User
	Validity     time.Duration
	KeyBits      int      // minimum; 0: none
	Usages       []string // extended key usages, as dotted numbers
	Signatures   int      // that the request must have
	SignerUsages []string // that the signer's certificate must have, as dotted numbers

	flags, nameFlags, enrollFlags, keyFlags uint32
}

// Flags of MS-CRTD sections 2.4, 2.26, 2.27 and 2.28.
const (
	flagMachine = 0x40
	flagCA      = 0x80

	nameFromRequest    = 0x1
	altNameFromRequest = 0x10000
	altNameDomainDNS   = 0x400000
	altNameUPN         = 0x2000000
	altNameMail        = 0x4000000
	altNameDNS         = 0x8000000
	nameDNS            = 0x10000000
	nameMail           = 0x20000000

	enrollPending = 0x2
	enrollNoSID   = 0x80000

	keyArchived = 0x1
	keyAttested = 0x2000
)

// ParseTemplate reads the entry of a template. The error says which attribute is missing or
// cannot be read: of such a template nothing is known.
func ParseTemplate(a Attributes) (Template, error) {
	t := Template{Name: a.text("cn"), DisplayName: a.text("displayName"), Usages: a.texts("pKIExtendedKeyUsage")}
	if t.Name == "" {
		return Template{}, errors.New("reading template: cn is missing")
	}
	numbers := []struct {
		attribute string
		set       func(uint32)
	}{
		{"flags", func(n uint32) { t.flags = n }},
		{"msPKI-Certificate-Name-Flag", func(n uint32) { t.nameFlags = n }},
		{"msPKI-Enrollment-Flag", func(n uint32) { t.enrollFlags = n }},
		{"msPKI-Private-Key-Flag", func(n uint32) { t.keyFlags = n }},
		{"msPKI-RA-Signature", func(n uint32) { t.Signatures = int(n) }},
		{"msPKI-Minimal-Key-Size", func(n uint32) { t.KeyBits = int(n) }},
		{"msPKI-Template-Schema-Version", func(n uint32) { t.Version = int(n) }},
	}
	for _, n := range numbers {
		value, err := number(a.text(n.attribute))
		if err != nil {
			return Template{}, fmt.Errorf("reading template %s: %s: want a number", t.Name, n.attribute)
		}
		n.set(value)
	}
	t.Version = max(t.Version, 1) // templates of Windows 2000 may lack the attribute
	for _, value := range a.texts("msPKI-RA-Application-Policies") {
		t.SignerUsages = append(t.SignerUsages, signerUsages(value)...)
	}
	var err error
	if t.Validity, err = period(a.values("pKIExpirationPeriod")); err != nil {
		return Template{}, fmt.Errorf("reading template %s: %w", t.Name, err)
	}
	return t, nil
}

// number reads a 32-bit integer, which LDAP shows with a sign. A missing one is 0.
func number(text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < -1<<31 || n >= 1<<32 {
		return 0, fmt.Errorf("%q is no 32-bit number", text)
	}
	return uint32(n), nil
}

// signerUsages reads a value of msPKI-RA-Application-Policies: one identifier, or, from
// version 4, a list of name, type and value divided by grave accents (MS-CRTD section 2.23).
func signerUsages(value string) []string {
	if !strings.Contains(value, "`") {
		return []string{value}
	}
	parts := strings.Split(value, "`")
	var usages []string
	for i := 0; i+2 < len(parts); i += 3 {
		if parts[i] == "msPKI-RA-Application-Policies" {
			usages = append(usages, strings.FieldsFunc(parts[i+2], func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	return usages
}

// period reads a negative number of 100 nanoseconds in 8 octets, little-endian (MS-CRTD
// section 2.19).
func period(values [][]byte) (time.Duration, error) {
	if len(values) != 1 || len(values[0]) != 8 {
		return 0, errors.New("pKIExpirationPeriod is missing or not of 8 octets")
	}
	ticks := int64(binary.LittleEndian.Uint64(values[0]))
	const most = int64(1<<63-1) / 100
	if ticks >= 0 || ticks < -most {
		return 0, errors.New("pKIExpirationPeriod is no period")
	}
	return time.Duration(-ticks) * 100, nil
}

// Has reports whether certificates of the template have an extended key usage.
func (t Template) Has(usage string) bool { return slices.Contains(t.Usages, usage) }

// Words gives a period as administrators set it: 2 years, 6 weeks, 10 days. A year has 365
// days there.
func Words(d time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{365 * day, "year"}, {7 * day, "week"}, {day, "day"}, {time.Hour, "hour"}} {
		if d >= unit.length && d%unit.length == 0 {
			if n := d / unit.length; n > 1 {
				return fmt.Sprintf("%d %ss", n, unit.name)
			}
			return "1 " + unit.name
		}
	}
	return d.String()
}

package exchange_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"certportal/ca"
	"certportal/internal/exchange"
	"certportal/internal/powershell"
	"certportal/internal/test/psgrammar"
	"certportal/internal/test/testkit"
)

// authorityNamed is an issuing CA below a root, both with that name.
func authorityNamed(t *testing.T, name, list string) exchange.Authority {
	t.Helper()
	key := testkit.Must(ca.ECP256.Generate())(t)
	named := func(serial int64) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: testkit.Noon, NotAfter: testkit.Noon.AddDate(5, 0, 0)}
		return testkit.Must(x509.ParseCertificate(testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)))(t)
	}
	return exchange.Authority{Certificate: named(2), Chain: []*x509.Certificate{named(3), named(1)}, Lists: []string{list, "ldap:///CN=x"}}
}

func script(t *testing.T, organization, portal, name, list string) []byte {
	t.Helper()
	return testkit.Must(exchange.Script(exchange.Installation{
		Organization: organization, Portal: portal, Authorities: []exchange.Authority{authorityNamed(t, name, list)},
	}))(t)
}

// TestScriptIsReadByWindows: the script is in the encoding that Windows PowerShell 5.1
// reads.
func TestScriptIsReadByWindows(t *testing.T) {
	made := script(t, "Example", "https://certificates.corp.example", "Example CA", "http://pki.corp.example/crl/issuing.crl")
	if !bytes.HasPrefix(made, []byte("\ufeff")) || bytes.Count(made, []byte("\r\n")) != bytes.Count(made, []byte("\n")) || !utf8.Valid(made) {
		t.Error("the script has no byte order mark, or ends lines in two ways")
	}
	if bytes.Contains(made, []byte("ldap:///")) {
		t.Error("the script fetches a list by LDAP")
	}
	if _, err := exchange.Script(exchange.Installation{Portal: "https://a"}); err == nil {
		t.Error("a script without a CA was made")
	}
}

// TestPasswordsGoLast: the script reports who would be locked out before it changes anything,
// and after what is harmless it stops at a wrong setting, before certificates are required and
// again before passwords are off.
func TestPasswordsGoLast(t *testing.T) {
	made := string(script(t, "Example", "https://certificates.corp.example", "Example CA", "http://pki.corp.example/crl/issuing.crl"))
	_, steps, _ := strings.Cut(made, "function Set-Server {")
	for _, step := range []string{
		"Show-LockedOut", "ShouldProcess(\"$phones phones\"", "Publish-Authority", "Install-WindowsFeature", "Set-Binding", "Assert-Right",
		"Set-Setting $Access 'sslFlags'", "Set-Folder @{ ClientCertAuth", "Assert-Right", "BasicAuthEnabled = $false", "'mapping, ActiveSync, once more'",
	} {
		_, after, found := strings.Cut(steps, step)
		if !found {
			t.Fatalf("%s is not in the script, or comes too early", step)
		}
		steps = after
	}
	if n := strings.Count(made, "BasicAuthEnabled = $false"); n != 1 {
		t.Errorf("passwords are switched off at %d places", n)
	}
	if strings.Contains(made, "notdownloaded") {
		t.Error("a certificate that nobody has fetched counts as one that works")
	}
	for line := range strings.Lines(made) {
		if strings.Contains(line, "-ActiveSyncVirtualDirectory -Identity") && !strings.Contains(line, "-ErrorAction Stop") {
			t.Errorf("a failure of Exchange goes unnoticed: %s", line)
		}
	}
}

// TestA18_HostileValuesStayText: the grammar takes the script, with the certificates in their
// containers, and no value of the installation becomes PowerShell: the structure is the same
// with any of them, and the value is in one string.
func TestA18_HostileValuesStayText(t *testing.T) {
	hostile := []string{
		"'; Remove-Item C:\\ -Recurse; '", "’; Stop-Computer; ‘", "‚‛", "`\"$(Stop-Computer)\"", "$(calc)", "a\r\nStop-Computer\r\n",
		"@'\nStop-Computer\n'@", "{{.Portal}}", "C:\\Program Files\\x y", "\u2028Stop-Computer", "\u202estop", "株式会社 ' ", "' + (Stop-Computer) + '", "\x00",
	}
	harmless := make([]string, len(hostile))
	for n := range harmless {
		harmless[n] = fmt.Sprint("value ", n)
	}
	scriptOf := func(values []string) string {
		i := exchange.Installation{Organization: strings.Join(values, " #> Stop-Computer <# "), Portal: "https://a/" + strings.Join(values, "")}
		for _, v := range values {
			i.Authorities = append(i.Authorities, authorityNamed(t, v, "http://b/"+v))
		}
		return string(testkit.Must(exchange.Script(i))(t))
	}
	plain := script(t, "Example", "https://certificates.corp.example", "Example CA", "http://pki.corp.example/crl/issuing.crl")
	// All at once: loading the grammar takes ten seconds.
	parses := psgrammar.Parse(t, scriptOf(harmless), scriptOf(hostile), string(plain), mailboxes(harmless), mailboxes(hostile))
	p := parses[2]
	for _, e := range p.Errors {
		t.Error(e)
	}
	for _, want := range []string{"'RootCA'", "'SubCA'", "'NTAuthCA'", "'http://pki.corp.example/crl/issuing.crl'", "'https://certificates.corp.example'"} {
		if !slices.Contains(p.Strings, want) {
			t.Errorf("no %s among the strings of the script", want)
		}
	}
	if got := parses[4]; len(got.Errors) > 0 || !slices.Equal(got.Shape, parses[3].Shape) {
		t.Errorf("hostile names change the lines about a mailbox: %v", got.Errors)
	}
	if got := parses[1]; len(got.Errors) > 0 || !slices.Equal(got.Shape, parses[0].Shape) {
		t.Errorf("hostile values change the script: %v", got.Errors)
	}
	for n, value := range append(hostile, strings.Join(hostile, "")) {
		for _, prefix := range []string{"", "http://b/", "https://a/"} {
			alone := n < len(hostile)
			if literal := powershell.Quote(prefix + value); alone == (prefix != "https://a/") && !slices.Contains(parses[1].Strings, literal) {
				t.Errorf("%q: %s is no string of the script", value, literal)
			}
		}
	}
}

// mailboxes are the lines about the mailboxes of people with these names.
func mailboxes(upns []string) string {
	var lines []string
	for _, upn := range upns {
		for _, c := range exchange.Mailbox(upn) {
			// The grammar knows no list of bare words, which PowerShell takes.
			lines = append(lines, strings.Replace(c.Line, " FriendlyName, DeviceType, DeviceOS, FirstSyncTime, DeviceId", " *", 1))
		}
	}
	return strings.Join(lines, "\n")
}

// TestCertificatesAreWhole: what the script publishes are the certificates themselves.
func TestCertificatesAreWhole(t *testing.T) {
	a := authorityNamed(t, "x", "http://b/c.crl")
	made := string(testkit.Must(exchange.Script(exchange.Installation{Portal: "https://a", Authorities: []exchange.Authority{a, a}}))(t))
	for _, cert := range append([]*x509.Certificate{a.Certificate}, a.Chain...) {
		if n := strings.Count(made, base64.StdEncoding.EncodeToString(cert.Raw)); n != 1 {
			t.Errorf("a certificate is %d times in the script, want once", n)
		}
	}
}

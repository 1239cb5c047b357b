package ca_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"certportal/ca"
)

func TestReadBundle(t *testing.T) {
	root := ca.FixtureRoot(t)
	policy := root.Below(t, "Policy CA").Certificate
	certs := []*x509.Certificate{policy, root.Certificate}
	message, err := ca.PKCS7(certs...)
	if err != nil {
		t.Fatal(err)
	}
	wide := []byte("\xff\xfe")
	for _, unit := range utf16.Encode([]rune(string(ca.PEM(certs...)))) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	wideBig := []byte("\xfe\xff")
	for _, unit := range utf16.Encode([]rune(string(ca.PEM(certs...)))) {
		wideBig = binary.BigEndian.AppendUint16(wideBig, unit)
	}
	for _, test := range []struct {
		name string
		file []byte
	}{
		{"PEM", ca.PEM(certs...)},
		{"PEM with text", append([]byte("subject=CN = Policy CA\n"), ca.PEM(certs...)...)},
		{"PEM of Windows", bytes.ReplaceAll(ca.PEM(certs...), []byte("\n"), []byte("\r\n"))},
		{"byte order mark", append([]byte("\xef\xbb\xbf"), ca.PEM(certs...)...)},
		{"UTF-16", wide}, {"UTF-16, big endian", wideBig},
		{"duplicates", ca.PEM(policy, root.Certificate, policy, root.Certificate)},
		{"DER", slices.Concat(policy.Raw, root.Certificate.Raw)},
		{"PKCS#7 in DER", message},
		{"PKCS#7 in PEM", pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message})},
		{"bare base64", []byte(base64.StdEncoding.EncodeToString(message))},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ca.ReadBundle(test.file)
			if err != nil || len(got) != 2 || !slices.ContainsFunc(got, policy.Equal) || !slices.ContainsFunc(got, root.Certificate.Equal) {
				t.Errorf("got %d certificates, %v", len(got), err)
			}
		})
	}
}

func TestA17_ReadBundleRefuses(t *testing.T) {
	root := ca.FixtureRoot(t)
	var many []*x509.Certificate
	for range 50 {
		many = append(many, root.Below(t, "CA").Certificate)
	}
	subject, _ := ca.ParseCAName("CN=a")
	request, err := ca.NewRequest(ca.FixtureKey(t, "user-ec"), ca.RequestConfig{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ca.EncryptKey(ca.FixtureKey(t, "user-ec"), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "empty"},
		{"10 MB", bytes.Repeat(ca.PEM(root.Certificate), 14000), "more than 1 MiB"},
		{"50 certificates", ca.PEM(many...), "50 of them"},
		{"one certificate 500 times", bytes.Repeat(ca.PEM(root.Certificate), 500), "PEM blocks"},
		{"private key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{1}}), "private key"},
		{"our own key", sealed, "private key"},
		{"request", ca.PEMRequest(request), "request"},
		{"request in DER", request.Raw, "request"},
		{"web page", []byte("<html>Access denied</html>"), "neither PEM"},
		{"half a certificate", root.Certificate.Raw[:100], "neither PEM"},
		{"broken PEM block", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}), "block 1"},
		{"list", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{0x30, 0}}), "X509 CRL"},
		{"empty PKCS#7", pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: []byte{0x30, 0}}), "PKCS#7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := ca.ReadBundle(test.file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d certificates, %v", len(got), err)
			}
		})
	}
}

func FuzzReadBundle(f *testing.F) {
	root := ca.FixtureRoot(f)
	message, _ := ca.PKCS7(root.Certificate)
	f.Add(ca.PEM(root.Certificate))
	f.Add(message)
	f.Add([]byte("\xff\xfe-\x00-\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		certs, err := ca.ReadBundle(file)
		if err == nil && (len(certs) == 0 || len(certs) > 20) {
			t.Errorf("%d certificates", len(certs))
		}
		ca.CheckAuthority(ca.ImportConfig{Given: certs, Now: ca.FixtureNow()})
	})
}

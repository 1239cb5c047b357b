package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/test/testkit"
)

func reference(t testing.TB) hsm.Reference {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return hsm.Reference{Token: "Corp Töken", Label: "certportal issuing 0102030405060708", ID: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Public: key.Public()}
}

func TestReferenceReadsBack(t *testing.T) {
	want := reference(t)
	file := testkit.Must(want.Encode())(t)
	if !hsm.IsReference(file) || !strings.HasPrefix(string(file), "-----BEGIN CERTPORTAL TOKEN KEY-----\n") {
		t.Errorf("not seen as a reference:\n%s", file)
	}
	got := testkit.Must(hsm.ParseReference(file))(t)
	if got.Token != want.Token || got.Label != want.Label || !bytes.Equal(got.ID, want.ID) ||
		!got.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(want.Public) {
		t.Errorf("read back %+v, want %+v", got, want)
	}
}

// A reference that was changed is refused before any token is asked.
func TestReferenceRefuses(t *testing.T) {
	good := string(testkit.Must(reference(t).Encode())(t))
	p224 := reference(t)
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224.Public = weak.Public()
	for name, test := range map[string]struct{ file, want string }{
		"nothing":          {"", "no PEM block"},
		"another type":     {strings.ReplaceAll(good, "TOKEN KEY", "SEALED KEY"), "no PEM block"},
		"two":              {good + good, "more than one"},
		"a further header": {strings.Replace(good, "Token:", "Slot: 1\nToken:", 1), "other headers"},
		"a header less":    {strings.Replace(good, "Id: 0102030405060708\n", "", 1), "other headers"},
		"no token":         {strings.Replace(good, "Token: Corp Töken", "Token: ", 1), "is empty"},
		"hidden character": {strings.Replace(good, "Corp T", "Corp\u202eT", 1), "not plain text"},
		"long label":       {strings.Replace(good, "certportal issuing", strings.Repeat("x", 129), 1), "longer than"},
		"short id":         {strings.Replace(good, "Id: 01", "Id: ", 1), "header Id"},
		"id of words":      {strings.Replace(good, "Id: 0102030405060708", "Id: zzzzzzzzzzzzzzzz", 1), "header Id"},
		"curve P-224":      {string(testkit.Must(p224.Encode())(t)), "P-224"},
		"large":            {good + strings.Repeat("\n", 5000), "more than 4096"},
	} {
		if _, err := hsm.ParseReference([]byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want it to say %q", name, err, test.want)
		}
	}
}

// A key in a token that the settings do not name, and any at all in a program without
// PKCS#11, is refused with what to do.
func TestOpenWithoutToken(t *testing.T) {
	file := testkit.Must(reference(t).Encode())(t)
	_, err := hsm.New(hsm.Config{}).Open(file)
	if hsm.Built {
		if err == nil || !strings.Contains(err.Error(), `"Corp Töken", which the settings do not name: see ca.pkcs11`) {
			t.Errorf("got %v", err)
		}
		return
	}
	if !errors.Is(err, hsm.ErrWithout) || !strings.Contains(err.Error(), "-tags pkcs11") || !strings.Contains(err.Error(), `in the token "Corp Töken"`) {
		t.Errorf("got %v, want it to say how to get a program with PKCS#11", err)
	}
}

func FuzzParseReference(f *testing.F) {
	good := testkit.Must(reference(f).Encode())(f)
	f.Add(good)
	f.Add([]byte("-----BEGIN CERTPORTAL TOKEN KEY-----\nToken: a\nLabel: b\nId: 0102030405060708\n\nAAAA\n-----END CERTPORTAL TOKEN KEY-----\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		ref, err := hsm.ParseReference(file)
		if err != nil {
			return
		}
		again, err := ref.Encode()
		if err != nil {
			t.Fatalf("a parsed reference is not written: %v", err)
		}
		twice, err := hsm.ParseReference(again)
		if err != nil || twice.Token != ref.Token || twice.Label != ref.Label || !bytes.Equal(twice.ID, ref.ID) {
			t.Errorf("%q reads back as %+v, %v", again, twice, err)
		}
	})
}

package est

import (
	"encoding/base64"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
)

func FuzzParseEnrolled(f *testing.F) {
	server := standin.Start(f, nil, nil)
	der, err := ca.PKCS7(server.Chain...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	f.Add([]byte("MAA="))
	f.Add([]byte("0\x80\x00\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := parseEnrolled(wire.Reply{Status: 200, Body: body}, server.Chain[0].PublicKey)
		if err == nil && answer.Certificate == nil {
			t.Error("neither certificate nor error")
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "-1": 0, "99999999999999999999": 0, "2147483647": maxRetry, "soon": 0,
		"Sun, 29 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 29 Nov 2020 12:01:00 GMT": 0, "Sun, 29 Nov 2099 12:01:00 GMT": maxRetry,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

package ejbca

import (
	"testing"

	"certportal/ca/upstream/wire"
)

func FuzzParseEnrolled(f *testing.F) {
	f.Add(201, []byte(`{"certificate":"MAA=","certificate_chain":["TUFBPQ=="],"serial_number":"1"}`))
	f.Add(202, []byte(`{"status_code":202,"info_message":"x","request_id":17}`))
	f.Add(202, []byte(`{"request_id":170141183460469231731687303715884105727}`))
	f.Add(201, []byte(`{"certificate":"LS0tLS1CRUdJTg=="}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		answer, err := parseEnrolled(wire.Reply{Status: status, Body: body}, "user")
		if err == nil && answer.Certificate == nil && answer.ID == "" {
			t.Error("neither certificate nor id nor error")
		}
		_ = parseRevoked(wire.Reply{Status: status, Body: body})
	})
}

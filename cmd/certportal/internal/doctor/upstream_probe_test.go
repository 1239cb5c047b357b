package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"certportal/ca/upstream"
	"certportal/internal/portal"
)

// probed is a CA whose check ends with an error.
type probed struct {
	upstream.CA
	err error
}

func (p probed) Probe(context.Context) ([]*x509.Certificate, error) { return nil, p.err }

func TestProbeUpstream(t *testing.T) {
	spare, dead := fmt.Errorf("1 of 2 addresses cannot be used, %w: no route", upstream.ErrSpare), errors.New("no route")
	for _, tt := range []struct {
		name       string
		probe, own error
		issues     bool
		want       portal.FindingState
	}{
		{"it answers", nil, nil, true, portal.FindingOK},
		{"the protocol cannot ask", upstream.ErrUnsupported, nil, true, portal.FindingOK},
		{"a spare address is gone", spare, nil, true, portal.FindingWarning},
		{"it is gone", dead, nil, true, portal.FindingFailed},
		{"it is gone and issues no more", dead, nil, false, portal.FindingWarning},
		{"the agent has expired", nil, dead, true, portal.FindingFailed},
		{"the agent has expired and a spare is gone", spare, dead, true, portal.FindingFailed},
	} {
		f := probeUpstream(t.Context(), Upstream{Name: "company", CA: probed{err: tt.probe}, Issues: tt.issues, Keys: func() error { return tt.own }})
		if f.State != tt.want {
			t.Errorf("%s: %+v, want %s", tt.name, f, tt.want)
		}
	}
}

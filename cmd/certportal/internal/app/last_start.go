package app

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
)

// lastStart is what a portal writes into its data folder when it starts: the public
// addresses that follow from the ports it got. "doctor" reads it beside the portal.
type lastStart struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	HTTPS   string    `json:"https"`
	HTTP    string    `json:"http"`
	Check   string    `json:"check,omitempty"`
}

func lastStartFile(s *config.Settings) string { return s.Path("last-start.json") }

// writeLastStart notes the addresses of this run.
func (p *App) writeLastStart() error {
	n := lastStart{Version: p.program.Version, At: p.Now().UTC().Truncate(time.Second), HTTPS: p.Public.HTTPS.String(), HTTP: p.Public.HTTP.String()}
	if p.Public.Check != nil {
		n.Check = p.Public.Check.String()
	}
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return fmt.Errorf("noting the addresses of this start: %w", err)
	}
	return durable.Replace(lastStartFile(p.Settings), append(text, '\n'), 0o600)
}

// readLastStart gives what the last start wrote; nothing when there was none, or only one
// of an older version.
func readLastStart(s *config.Settings) (n lastStart) {
	text, err := os.ReadFile(lastStartFile(s))
	if err != nil || json.Unmarshal(text, &n) != nil {
		return lastStart{}
	}
	return n
}

// startedVersion is the version of the portal that started last.
func startedVersion(s *config.Settings) string { return readLastStart(s).Version }

// addressesNow are the public addresses of the settings, and where these name none those of
// the last start.
func addressesNow(s *config.Settings) (config.Addresses, error) {
	public, err := publicAddresses(s)
	if err != nil {
		return public, err
	}
	n := readLastStart(s)
	for _, a := range []struct {
		set   string
		noted string
		to    **url.URL
	}{{s.PublicURL, n.HTTPS, &public.HTTPS}, {s.PublicHTTPURL, n.HTTP, &public.HTTP}, {s.PublicCheckURL, n.Check, &public.Check}} {
		if u, err := url.Parse(a.noted); a.set == "" && err == nil && u.Host != "" {
			*a.to = u
		}
	}
	return public, nil
}

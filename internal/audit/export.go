package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/escape"
)

// ExportVersion is the schema version of exported lines. New fields may be added
// without a new version; fields are never renamed and never change their meaning.
const ExportVersion = 1

// Outcome returns "refused" for refused acts, else "done".
func (a Action) Outcome() string {
	_, verb, _ := strings.Cut(string(a), ".")
	switch verb {
	case "refused", "rejected", "denied", "burnt", "broken":
		return "refused"
	}
	return "done"
}

// line is an exported entry.
type line struct {
	Version int               `json:"version"`
	Seq     int64             `json:"seq"`
	Time    string            `json:"time"` // RFC 3339, UTC, milliseconds
	Node    string            `json:"node"`
	Action  Action            `json:"action"`
	Outcome string            `json:"outcome"`
	Actor   string            `json:"actor"`
	Role    string            `json:"role"`
	Person  string            `json:"person"`
	Object  string            `json:"object"`
	Address string            `json:"address"`
	Request string            `json:"request"`
	Detail  map[string]string `json:"detail"`
	Prev    string            `json:"prev"` // hexadecimal
	Hash    string            `json:"hash"` // hexadecimal
}

// timeLayout is RFC 3339 with the precision of the hash.
const timeLayout = "2006-01-02T15:04:05.000Z"

// AppendJSON appends the entry as one line of JSON with its newline. In values line
// breaks and hidden characters are escaped: some programs end a line at U+0085,
// terminals interpret control characters, and a name must not reorder the line.
func (e Entry) AppendJSON(b []byte) ([]byte, error) {
	detail := e.Detail
	if detail == nil {
		detail = map[string]string{}
	}
	var buffer bytes.Buffer
	enc := json.NewEncoder(&buffer)
	enc.SetEscapeHTML(false)
	err := enc.Encode(line{
		Version: ExportVersion, Seq: e.Seq, Time: e.At.UTC().Format(timeLayout), Node: e.Node,
		Action: e.Action, Outcome: e.Action.Outcome(), Actor: e.Actor, Role: e.Role, Person: e.Person, Object: e.Object,
		Address: e.Address, Request: e.Request, Detail: detail,
		Prev: hex.EncodeToString(e.Prev[:]), Hash: hex.EncodeToString(e.Hash[:]),
	})
	if err != nil {
		return b, fmt.Errorf("writing entry %d as JSON: %w", e.Seq, err)
	}
	return append(b, escape.Text(buffer.Bytes())...), nil
}

// ParseJSON parses a line of AppendJSON. It does not verify the entry.
func ParseJSON(text []byte) (Entry, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Entry{}, fmt.Errorf("reading exported entry: %w", err)
	}
	if l.Version != ExportVersion {
		return Entry{}, fmt.Errorf("reading exported entry %d: version %d, want %d", l.Seq, l.Version, ExportVersion)
	}
	at, err := time.Parse(timeLayout, l.Time)
	if err != nil {
		return Entry{}, fmt.Errorf("reading exported entry %d: %w", l.Seq, err)
	}
	e := Entry{
		Seq: l.Seq, At: at, Node: l.Node, Action: l.Action, Actor: l.Actor, Role: l.Role, Person: l.Person,
		Object: l.Object, Address: l.Address, Request: l.Request, Detail: l.Detail,
	}
	if e.Prev, err = parseHash(l.Prev); err != nil {
		return Entry{}, fmt.Errorf("reading exported entry %d: %w", l.Seq, err)
	}
	if e.Hash, err = parseHash(l.Hash); err != nil {
		return Entry{}, fmt.Errorf("reading exported entry %d: %w", l.Seq, err)
	}
	return e, nil
}

// Facility and severities (RFC 5424 section 6.2.1).
const (
	facilityAudit  = 13 // log audit
	severityNotice = 5
	severityInfo   = 6

	// structuredID uses the private enterprise number that RFC 5612 reserves for
	// documentation: the portal has none.
	structuredID = "certportal@32473"
)

// AppendSyslog appends the entry as one RFC 5424 message without framing: fields as
// structured data, the whole entry as JSON in the text. It contains no line break.
func (e Entry) AppendSyslog(b []byte) ([]byte, error) {
	severity := severityInfo
	if e.Action.Outcome() != "done" {
		severity = severityNotice
	}
	b = fmt.Appendf(b, "<%d>1 %s %s certportal - %s [%s", facilityAudit*8+severity, e.At.UTC().Format(timeLayout),
		headerField(e.Node, 255), headerField(string(e.Action), 32), structuredID)
	for _, p := range [...]struct{ name, value string }{
		{"seq", fmt.Sprint(e.Seq)}, {"outcome", e.Action.Outcome()}, {"actor", e.Actor}, {"role", e.Role}, {"person", e.Person},
		{"object", e.Object}, {"address", e.Address}, {"request", e.Request},
	} {
		if p.value != "" {
			b = append(b, ' ')
			b = append(b, p.name...)
			b = appendParam(append(b, '='), p.value)
		}
	}
	text, err := e.AppendJSON(append(b, "] "...))
	return bytes.TrimRight(text, "\n"), err
}

// headerField returns s as a header field: printable ASCII without spaces, at most n
// characters, "-" if empty (RFC 5424 section 6.2).
func headerField(s string, n int) string {
	if s == "" {
		return "-"
	}
	fit := []byte(s[:min(len(s), n)])
	for i, c := range fit {
		if c <= ' ' || c > '~' {
			fit[i] = '?'
		}
	}
	return string(fit)
}

// appendParam appends a quoted value (RFC 5424 section 6.3.3). Control and hidden
// characters, which the RFC permits, are \uXXXX after the receiver removed the escaping.
func appendParam(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range escape.Value(s) {
		if r == '"' || r == '\\' || r == ']' {
			b = append(b, '\\')
		}
		b = utf8.AppendRune(b, r)
	}
	return append(b, '"')
}

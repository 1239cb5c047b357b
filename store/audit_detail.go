package store

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// detailOf reads the details of an entry. They are written in one form, that of
// json.Marshal: a text in another form is compared with that one, so that no byte
// can be changed unnoticed. Most details contain no escapes and are read at a tenth
// of the cost.
func detailOf(text []byte) (map[string]string, bool) {
	if detail, ok := plainDetail(text); ok {
		return detail, true
	}
	var detail map[string]string
	if err := json.Unmarshal(text, &detail); err != nil {
		return nil, false
	}
	again, err := json.Marshal(detail)
	return detail, err == nil && bytes.Equal(again, text)
}

// plainDetail reads an object of texts without escapes or blanks, its keys in order.
// It reports anything else as not plain.
func plainDetail(text []byte) (map[string]string, bool) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' || !utf8.Valid(text) {
		return nil, false
	}
	detail := make(map[string]string)
	last := ""
	for rest := text[1 : len(text)-1]; len(rest) > 0; {
		key, value, after, ok := plainPair(rest)
		if !ok || len(detail) > 0 && key <= last {
			return nil, false
		}
		detail[key], last = value, key
		if len(after) == 0 {
			return detail, true
		}
		if after[0] != ',' || len(after) == 1 {
			return nil, false
		}
		rest = after[1:]
	}
	return detail, true
}

// plainPair reads "key":"value".
func plainPair(text []byte) (key, value string, rest []byte, ok bool) {
	key, rest, ok = plainText(text)
	if !ok || len(rest) == 0 || rest[0] != ':' {
		return "", "", nil, false
	}
	value, rest, ok = plainText(rest[1:])
	return key, value, rest, ok
}

// plainText reads a quoted text that json.Marshal writes without an escape.
func plainText(text []byte) (s string, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '"' {
		return "", nil, false
	}
	end := bytes.IndexByte(text[1:], '"')
	if end < 0 {
		return "", nil, false
	}
	inside := text[1 : end+1]
	for i, c := range inside {
		lineEnd := c == 0xe2 && i+2 < len(inside) && inside[i+1] == 0x80 && inside[i+2]&0xfe == 0xa8 // U+2028, U+2029
		if c < ' ' || c == '\\' || c == '<' || c == '>' || c == '&' || lineEnd {
			return "", nil, false
		}
	}
	return string(inside), text[end+2:], true
}

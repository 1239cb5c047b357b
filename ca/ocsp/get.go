package ocsp

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// DecodeGET reads the request out of the path of a GET (RFC 6960 appendix A.1):
// what follows the address of the responder, as it stands in the request line.
// Clients agree on base64 and on little else: slashes, plus signs and the padding
// come plain, percent-encoded, once more encoded by a proxy, or not at all. The
// error wraps [ErrMalformed].
func DecodeGET(path string) ([]byte, error) {
	if len(path) > 4*MaxRequest {
		return nil, malformed(fmt.Sprintf("address of %d characters", len(path)))
	}
	for range 2 {
		if !strings.Contains(path, "%") {
			break
		}
		plain, err := url.PathUnescape(path)
		if err != nil {
			return nil, malformed("address is not in base64")
		}
		path = plain
	}
	// Whoever joins addresses carelessly has two slashes in between; a request never
	// begins with one. A + that was taken for a form's is a blank.
	path = strings.TrimRight(strings.TrimLeft(path, "/"), "=")
	path = strings.ReplaceAll(path, " ", "+")
	raw, err := base64.RawStdEncoding.DecodeString(path)
	if err != nil {
		return nil, malformed("address is not in base64")
	}
	return raw, nil
}

package exchangecheck

import (
	"regexp"
	"strconv"
	"strings"
)

// maxHeadings bounds how many headings of a page are read.
const maxHeadings = 20

// readPage reads the sub-status and the error code from an error page of IIS. Only title
// and headings are read for the sub-status, which must follow the status of the answer;
// two different ones are none.
//
//	<title>IIS 10.0 Detailed Error - 403.16 - Forbidden</title>
//	<h3>HTTP Error 403.16 - Forbidden</h3>
//	<th>Error Code</th><td>&nbsp;&nbsp;&nbsp;0x800b0109</td>
func readPage(status int, body []byte) (sub int, code string) {
	heading := regexp.MustCompile(`(?is)<(?:title|h[1-4])[^<>]*>([^<]{0,300})<`)
	number := regexp.MustCompile(`(?:^|HTTP Error |Error - )(\d{3})\.(\d{1,3})(?:\D|$)`)
	for _, h := range heading.FindAllSubmatch(body, maxHeadings) {
		found := number.FindStringSubmatch(strings.TrimSpace(string(h[1])))
		if found == nil || found[1] != strconv.Itoa(status) {
			continue
		}
		n, err := strconv.Atoi(found[2])
		if err != nil || sub != 0 && sub != n {
			return 0, ""
		}
		sub = n
	}
	if found := regexp.MustCompile(`(?is)Error Code.{0,80}?(0x[0-9a-f]{8})\b`).FindSubmatch(body); found != nil {
		code = strings.ToLower(string(found[1]))
	}
	return sub, code
}

package revoker_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"certportal/internal/powershell"
	"certportal/internal/revoker"
	"certportal/internal/test/psgrammar"
	"certportal/internal/test/testkit"
)

func script(t *testing.T, organization, portal, ca string) string {
	t.Helper()
	return string(testkit.Must(revoker.Script(revoker.Installation{Organization: organization, Portal: portal, CA: ca}))(t))
}

// TestA18_ScriptOfRevokerIsPowerShell: the grammar takes the script, and no value of the
// installation becomes PowerShell. No PowerShell runs it here.
func TestA18_ScriptOfRevokerIsPowerShell(t *testing.T) {
	plain := script(t, "Example", "https://certificates.corp.example:8445", "company")
	if !strings.HasPrefix(plain, "\ufeff") || strings.Count(plain, "\r\n") != strings.Count(plain, "\n") {
		t.Error("the script is not in the encoding of Windows PowerShell 5.1")
	}
	organization, value := "#> Stop-Computer <#", "https://a/' + (Stop-Computer) + '\u2019$(calc)`\r\n@'"
	hostile := script(t, organization, value, value)
	parsed := psgrammar.Parse(t, plain, hostile)
	for _, p := range parsed {
		for _, e := range p.Errors {
			t.Error(e)
		}
	}
	if !slices.Equal(parsed[0].Shape, parsed[1].Shape) {
		t.Error("hostile values change the script")
	}
	if !slices.Contains(parsed[1].Strings, powershell.Quote(value)) {
		t.Error("a hostile value is no string of the script")
	}
	for _, want := range []string{"'https://certificates.corp.example:8445'", "'company'"} {
		if !slices.Contains(parsed[0].Strings, want) {
			t.Errorf("no %s among the strings of the script", want)
		}
	}
}

// TestA14_ScriptOfRevokerGuards: what keeps a hostile portal from more than revoking
// certificates of one template is in the script, in this order.
func TestA14_ScriptOfRevokerGuards(t *testing.T) {
	made := strings.ReplaceAll(script(t, "Example", "https://a", "company"), "\r\n", "\n")
	for name, steps := range map[string][]string{
		"settings": {
			`[ValidatePattern('\A[0-9A-Fa-f]{40}\z')] [string] $Thumbprint`, `\A([0-9]+(\.[0-9]+){3,}|[A-Za-z0-9]{1,64})(,([0-9]+(\.[0-9]+){3,}|[A-Za-z0-9]{1,64})){0,9}\z')] [string[]] $Template`,
			"[switch] $Execute", "[switch] $PublishCRL", "Set-StrictMode", "$ErrorActionPreference = 'Stop'", "[Environment]::SystemDirectory",
		},
		"one certificate": {
			"function Revoke-Certificate", "if (Test-Row $Serial $Revoked)", "if (-not (Test-Row $Serial $Issued)) { return Get-Outcome $Serial 'absent'",
			"if (-not $Execute) { return", "@('-revoke', $Serial, [string]$Reason)", "if ($run.Code -ne 0) { return Get-Outcome $Serial 'failed' $run.Code }",
			"if (-not (Test-Row $Serial $Revoked)) { return Get-Outcome $Serial 'failed' 0 }", "return Get-Outcome $Serial 'revoked'",
		},
		"what the CA is asked": {
			"$Templates = @($Template | ForEach-Object { $_ -split ',' })", "function Test-Row", "foreach ($one in $Templates)",
			"SerialNumber=$Serial,CertificateTemplate=$one,Disposition=$Disposition", "if ($view.Code -ne 0) { throw", "$found += $rows.Count", "return $found -eq 1",
		},
		"what the portal sends": {
			"function Assert-Work", "$Answer.authority -cne $Authority", "$work.Count -gt $Most", `-cnotmatch '\A([0-9a-f]{2}){1,20}\z') { throw`,
			"$item.reason -isnot [int]", "$item.reason -notin 0, 1, 3, 4, 5) { throw",
		},
		"all at once": {
			`Get-Item -LiteralPath "Cert:\LocalMachine\My\$Thumbprint"`, "for ($round = 1; $round -le $Rounds; $round++)", "Invoke-Portal 'Get'", "\n        Assert-Work $answer\n",
			"-not $seen.ContainsKey($_.serial)", "Revoke-Certificate $item.serial", "if (-not $Execute) { continue }",
			"try {\n            Invoke-Portal 'Post' '' $outcome", "} catch {", "$bad++", "if (-not $Execute -or -not $answer.more -or $fresh.Count -eq 0) { break }", "if ($Execute -and $PublishCRL", "@('-CRL')",
		},
	} {
		rest := made
		for _, step := range steps {
			_, after, found := strings.Cut(rest, step)
			if !found {
				t.Errorf("%s: %s is not in the script, or comes too early", name, step)
				break
			}
			rest = after
		}
	}
	// One place runs a program, one revokes, and no text of an answer is run.
	for what, n := range map[string]int{"& $": 1, "'-revoke'": 1, "'-CRL'": 1} {
		if got := strings.Count(made, what); got != n {
			t.Errorf("%s is %d times in the script", what, got)
		}
	}
	if found := regexp.MustCompile(`(?i)Invoke-Expression|\biex\b|Start-Process|ServerCertificateValidationCallback|SkipCertificateCheck|2>&1|cmd(\.exe)? /c`).FindString(made); found != "" {
		t.Errorf("%s is in the script", found)
	}
	if bytes.Contains([]byte(made), []byte("-match 'completed")) {
		t.Error("the script reads words of certutil")
	}
}

#requires -Version 5.1
<#
.SYNOPSIS
Revokes at this certification authority what the portal blocked, and reports each outcome to the portal.

.DESCRIPTION
Made by certportal for {{.Organization}}. Without -Execute it changes and reports nothing. Run it as a scheduled task, as a
group managed service account that may revoke certificates of one template only.

The portal is not trusted: it can name serial numbers of certificates of -Template, and nothing else. Each is looked for
in the database of the CA first. Another template, or no such certificate, is reported and not revoked.

.PARAMETER Thumbprint
Of the client certificate in LocalMachine\My with which the portal knows this host.

.PARAMETER Template
The template whose certificates may be revoked: its object identifier. Of a template of version 1, its name. Several with commas
between them: after a change of template that before it too, until its certificates have ended.

.PARAMETER CA
The CA as HOST\NAME, when the script does not run on its host.

.PARAMETER Portal
Address of the portal for this script.

.PARAMETER Execute
Revokes, and reports outcomes.

.PARAMETER PublishCRL
Publishes the revocation list after something was revoked. The account needs "Manage CA" for it, which is the whole CA.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)] [ValidatePattern('\A[0-9A-Fa-f]{40}\z')] [string] $Thumbprint,
    [Parameter(Mandatory = $true)] [ValidatePattern('\A([0-9]+(\.[0-9]+){3,}|[A-Za-z0-9]{1,64})(,([0-9]+(\.[0-9]+){3,}|[A-Za-z0-9]{1,64})){0,9}\z')] [string[]] $Template,
    [ValidatePattern('\A[A-Za-z0-9.-]+\\[^"\\%\r\n]+\z')] [string] $CA,
    [ValidatePattern('\Ahttps://[^\s]+\z')] [string] $Portal = {{.Portal}},
    [switch] $Execute,
    [switch] $PublishCRL
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$Authority = {{.Authority}}
$Address = "$($Portal.TrimEnd('/')){{.Path}}$Authority"
$Certutil = Join-Path ([Environment]::SystemDirectory) 'certutil.exe'
$Most = {{.Most}}
# With -File all of them are one text.
$Templates = @($Template | ForEach-Object { $_ -split ',' })
# How often the portal is asked for more in one run.
$Rounds = 5
# Dispositions of a certificate in the database of the CA.
$Issued = 20
$Revoked = 21

# Invoke-Certutil runs certutil. Its exit code counts, not its words, which are in the language of Windows.
function Invoke-Certutil([string[]] $Arguments) {
    if ($CA) { $Arguments = @('-config', $CA) + $Arguments }
    $lines = @(& $Certutil @Arguments)
    return New-Object PSObject -Property @{ Code = [int]$LASTEXITCODE; Lines = $lines }
}

# Test-Row says whether the CA has one certificate with the serial number, of one of the templates, in the disposition.
function Test-Row([string] $Serial, [int] $Disposition) {
    $found = 0
    foreach ($one in $Templates) {
        $view = Invoke-Certutil @('-view', '-restrict', "SerialNumber=$Serial,CertificateTemplate=$one,Disposition=$Disposition",
            '-out', 'RequestID,SerialNumber', 'csv')
        if ($view.Code -ne 0) { throw "certutil -view ended with $($view.Code)" }
        $rows = @($view.Lines | Where-Object {
            [string]$_ -match '\A\s*"?[0-9]+"?\s*[,;]\s*"?([0-9A-Fa-f]+)"?\s*\z' -and $Matches[1].TrimStart('0') -eq $Serial.TrimStart('0')
        })
        $found += $rows.Count
    }
    return $found -eq 1
}

# Get-Outcome makes the report about a certificate.
function Get-Outcome([string] $Serial, [string] $Outcome, [int] $Code) {
    return New-Object PSObject -Property @{ serial = $Serial; outcome = $Outcome; code = $Code }
}

# Revoke-Certificate revokes one certificate, if it is one of the template that works, and looks whether it is revoked then.
function Revoke-Certificate([string] $Serial, [int] $Reason) {
    if (Test-Row $Serial $Revoked) { return Get-Outcome $Serial 'revoked' 0 }
    if (-not (Test-Row $Serial $Issued)) { return Get-Outcome $Serial 'absent' 0 }
    if (-not $Execute) { return Get-Outcome $Serial 'would be revoked' 0 }
    $run = Invoke-Certutil @('-revoke', $Serial, [string]$Reason)
    if ($run.Code -ne 0) { return Get-Outcome $Serial 'failed' $run.Code }
    if (-not (Test-Row $Serial $Revoked)) { return Get-Outcome $Serial 'failed' 0 }
    $script:New++
    return Get-Outcome $Serial 'revoked' 0
}

# Assert-Work stops unless each serial number and reason is one: they go to a command line.
function Assert-Work($Answer) {
    if ([string]$Answer.authority -cne $Authority) { throw 'The portal answered for another CA. Nothing of it was revoked.' }
    $work = @($Answer.revocations)
    if ($work.Count -gt $Most) { throw "The portal asked for more than $Most revocations at once. Nothing of it was revoked." }
    foreach ($item in $work) {
        if ($item.serial -isnot [string] -or $item.serial -cnotmatch '\A([0-9a-f]{2}){1,20}\z') { throw 'The portal sent what is no serial number. Nothing of it was revoked.' }
        if ($item.reason -isnot [int] -and $item.reason -isnot [long]) { throw 'The portal sent what is no reason. Nothing of it was revoked.' }
        # Certificate hold (6) can be undone, and the rest is not about people.
        if ($item.reason -notin 0, 1, 3, 4, 5) { throw 'The portal sent a reason that is not used. Nothing of it was revoked.' }
    }
}

# Invoke-Portal asks or tells the portal. Its certificate is checked by Windows.
function Invoke-Portal([string] $Method, [string] $Query, $Body) {
    $request = @{ Uri = "$Address$Query"; Method = $Method; Certificate = $Client; UseBasicParsing = $true; TimeoutSec = 30; MaximumRedirection = 0 }
    if ($null -ne $Body) { $request.ContentType = 'application/json'; $request.Body = (ConvertTo-Json -InputObject $Body -Compress) }
    return Invoke-RestMethod @request
}

[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
[Net.WebRequest]::DefaultWebProxy = $null
$Client = Get-Item -LiteralPath "Cert:\LocalMachine\My\$Thumbprint"
if (-not $Client.HasPrivateKey) { throw "The certificate $Thumbprint has no private key here." }

$query = if ($Execute) { '' } else { '?dry-run' }
$script:New = 0
$bad = 0
$seen = @{}
for ($round = 1; $round -le $Rounds; $round++) {
    try {
        $answer = Invoke-Portal 'Get' $query $null
        Assert-Work $answer
    } catch {
        if ($round -eq 1) { throw }
        Write-Warning "asking for more: $($_.Exception.Message)"
        $bad++
        break
    }
    # What was tried comes behind what was not: with nothing new the rest was tried too.
    $fresh = @($answer.revocations | Where-Object { -not $seen.ContainsKey($_.serial) })
    foreach ($item in $fresh) {
        $seen[$item.serial] = $true
        try {
            $outcome = Revoke-Certificate $item.serial $item.reason
        } catch {
            Write-Warning "$($item.serial): $($_.Exception.Message)"
            $outcome = Get-Outcome $item.serial 'failed' $_.Exception.HResult
        }
        Write-Output ('{0} {1} {2}' -f $outcome.serial, $outcome.outcome, $outcome.code)
        if ($outcome.outcome -in 'absent', 'failed') { $bad++ }
        if (-not $Execute) { continue }
        try {
            Invoke-Portal 'Post' '' $outcome | Out-Null
        } catch {
            # The portal offers it again in the next run.
            Write-Warning "$($item.serial): the portal did not take the report: $($_.Exception.Message)"
            $bad++
        }
    }
    if (-not $Execute -or -not $answer.more -or $fresh.Count -eq 0) { break }
}
if ($Execute -and $PublishCRL -and $script:New -gt 0) {
    $run = Invoke-Certutil @('-CRL')
    if ($run.Code -ne 0) { throw "certutil -CRL ended with $($run.Code): what was revoked is in the next list" }
}
if (-not $Execute) { Write-Output 'This was a dry run: nothing was revoked or reported. Run it with -Execute.' }
if ($bad -gt 0) { exit 1 }

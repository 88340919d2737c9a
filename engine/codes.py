"""Every error and warning code with its title and what to do about it: one table, from which the docs are made.

A row is `code stage title`, then its help, indented. The stage is the earliest moment the problem can be known: from
the project's files (load), from the tables (data) or in a run (run). A code keeps its meaning for ever; a retired one
is never given out again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TABLE = """
# HF1xx YAML and values
HF101 load Not YAML
    The file cannot be read as YAML at this place: a bracket or quote that is never closed, a line without a
    colon, an indentation that fits no line above. The place is where the construct begins.
HF102 load A tab in the indentation
    YAML indents with spaces only. Most editors can be told to insert spaces when Tab is pressed.
HF103 load A character that cannot stand in a file
    Files are UTF-8 text. Control characters, a NUL byte or bytes of another encoding are refused; save the file
    as UTF-8.
HF104 load A text that needs quotes
    In YAML a value that begins with {, [, @, %, *, &, ! or a backtick, or that holds a colon followed by a space,
    means something else unless it is quoted. Put the whole text in quotes.
HF105 load An anchor or alias
    &name and *name let one part of a file stand for another. Rules are read by people, so each says what it
    means; a file with aliases can also grow without bound. Write the value out.
HF106 load A tag
    Words that begin with ! change how YAML reads a value. Here the key decides how its value is read, so tags are
    refused.
HF107 load A merge key
    << copies keys from elsewhere in the file. Write them out where they belong.
HF108 load A key written twice
    The same key stands twice in one mapping. Plain YAML would silently take the last one; keep the one you mean.
HF109 load Nested too deeply
    No file of a project needs more than 20 levels. Most often a bracket was not closed.
HF110 load A file that is too large
    A file may hold a million characters, and a project ten thousand files. Split large files.
HF111 load More than one document
    config.yaml and a template's front matter hold one document. Only files under rules/ may hold several,
    separated by ---.
HF112 load Nothing in the file
    A file under rules/ must hold at least one rule, and config.yaml its settings. Remove the file if it is not
    needed.
HF113 load A key that is not a word
    Keys are single words such as `send`. An empty key, a list or a mapping cannot be one; most often a quote is
    missing.
HF114 load A file that cannot be read
    The file is missing, may not be read, or is a link that leads out of the project folder. A project holds its
    own files, so that what a run used can be kept and shown.
HF115 load A YAML directive
    Lines such as %YAML 1.1 are not needed and not read. Remove the line.
HF120 load An unknown key
    This key is not part of the language at this place. Keys are never ignored: a misspelt one would silently
    change nothing.
HF121 load A missing key
    This key is required here. The position is that of the mapping that lacks it.
HF122 load Another kind of value
    A list, a mapping or a single text stands where another of the three is expected.
HF123 load Not a number
    Numbers are written in digits, without leading zeros or separators: 1000, not 1,000 or 0012.
HF124 load Neither true nor false
    Only true and false are truth values. no, off and yes are ordinary words here, so that Norway keeps its
    country code.
HF125 load Not a duration
    A duration is a number, a space and a unit: 30 days, 1 week, 48 hours. Units are minutes, hours, days, weeks,
    months, years.
HF126 load Not a time of day
    Times of day are hours and minutes on a 24-hour clock: 09:00, 22:30.
HF127 load Not a share
    Shares are percentages with their sign: 10%, 2.5%.
HF128 load Not one of the known words
    The value must be one of the words the message lists.
HF129 load Out of range
    The value is outside the bounds the message names.
HF130 load No value
    A key without a value looks like a forgotten one. Write the value, or remove the line to get the default.
HF131 load A unit that does not fit
    Windows that look back (`for`, `within`, `window`) count elapsed time and need a unit of fixed length, so
    months and years are refused: write 30 days or 365 days. What counts local dates (`repeat_after`) needs days
    or longer.
HF132 load A text of the wrong form
    Ids and names have a fixed form, because file names, links and history hang on them.
HF133 load A file name that is not allowed
    Templates and queries are named relative to their folder, in plain letters. A name can never lead out of that
    folder.
HF134 load Not available in this version
    The word belongs to the language but this version cannot act on it yet. It is refused rather than ignored.

# HF2xx Settings
HF201 load No config.yaml
    The folder is not a project: it has no config.yaml. Use -C to name the folder, or `holdfast init` to make one.
HF202 load An unknown time zone
    Zones go by place, such as Europe/London. Abbreviations such as CEST and offsets such as +02:00 know no summer
    time.
HF203 load A secret in plain text
    Passwords and keys never stand in config.yaml, which is kept under version control and shown in full. Write
    ${VARIABLE} for an environment variable or ${file:path} for a file.
HF204 run A secret that cannot be found
    The environment variable is not set or empty, or the file cannot be read. It is looked up only when a command
    needs it.
HF205 load An unknown kind of channel
    `use` names how a channel delivers. The message lists the kinds this installation has.
HF206 load Not an e-mail address
    Senders are written "Name <address@example.com>" or as a bare address.
HF207 load Not quiet hours
    Quiet hours are two times of day that differ, 21:00-08:00, or off. They may span midnight.
HF208 load Not a cap
    A cap is a number of messages per number of days: 2/7 days lets at most two into any seven local dates.
HF209 load An unknown table
    Only the tables of the contract are read; further columns of them are welcome. See the page about tables.
HF210 load A table needs exactly one source
    Each table says where it comes from with one of path, table, query or source.
HF212 load Not a database URL
    The state lives in sqlite:///file or postgresql://…; the warehouse is duckdb://, duckdb:///file,
    sqlite:///file or postgresql://….
HF213 load Not a currency
    Currencies are the three capital letters of ISO 4217, such as EUR.
HF214 load A setting that mail needs
    Marketing mail must carry a postal address and an unsubscribe link, so workspace.postal_address and
    workspace.public_url are required once a marketing rule is switched on; every class needs its sender.
HF215 load Not a country
    Countries are the two capital letters of ISO 3166, such as DE; EU stands for its members.
HF216 load Not a public https address
    Links in mail begin with workspace.public_url. One-click unsubscribing (RFC 8058) works over https only.
HF217 load The customers table is not mapped
    Every project needs warehouse.tables.customers; the other tables are optional.
HF218 load Not an address for a webhook
    A webhook is called over https, by the name or address of a host, without a user name in front of it. The whole
    address may stand in a variable, as ${VARIABLE}.

# HF3xx Rules
HF301 load A rule id used twice
    History and holdouts hang on the id, so each belongs to one rule.
HF302 load An old id that is taken
    `was` hands the history of an old id to this rule. That id may not be a present rule's, nor claimed by two
    rules.
HF303 load No trigger
    Every rule has exactly one trigger: the condition that finds its customers.
HF304 load Two triggers
    A rule has one trigger. Write two rules, or express the second condition in `where`.
HF305 load An unknown trigger
    The message lists the triggers this installation has.
HF306 load Two times for one step
    A step says one of after, wait and before: counted from the anchor, from the step before, or back from the
    anchor.
HF307 load What a step sends
    A step has either `send` or `variants`, not both and not neither.
HF308 load Shares that are not a whole
    The shares of a step's variants must add up to 100%.
HF309 load A step id used twice
    A step's id is its `send` unless `id` says otherwise. A template sent twice in one rule needs two ids, because
    what was sent is remembered by id.
HF310 load Two steps due at once
    Only the newest due step is sent, so the earlier of the two would never go out. Give them different times; what goes to
    different people, such as a mail to most and a task about the best, is two rules.
HF311 load Steps out of order
    Steps stand in the order in which they fall due. A step that would be due before the one above it could never
    be sent in turn.
HF312 load A step without before or after
    This trigger's anchor is a date that may lie ahead. Each step must say whether it goes out before or after
    that date.
HF313 load before without a coming date
    `before` counts back from a date that lies ahead, such as a renewal. This trigger is anchored in the past: use
    `after`.
HF314 load A step its trigger cannot reach
    By the time this step is due, the trigger no longer finds the customer. Make the step earlier or the trigger's
    window longer.
HF315 load Service or legal mail without ground
    Service and legal mail reaches people who declined marketing, so the rule must name its ground: contract,
    security or law.
HF316 load A ground for marketing
    `ground` belongs to service and legal rules; marketing rests on consent.
HF317 load An unknown template
    A step sends templates/<name>/mail.html. No such file is in the project.
HF318 load An unknown class or topic in blocks
    `blocks` names classes (marketing, service, legal) or topics of other rules; nothing else could ever be held
    back.
HF319 load An unknown schedule
    The schedule must be one of those under `schedules` in config.yaml.
HF320 load A rule that does nothing
    A rule needs steps, or `blocks`, or both.
HF321 load An unknown channel
    A step's channel must be one of those under `channels` in config.yaml.
HF322 load One condition of several
    A goal is one of event, paid, renewed and in_service; a fact is one of count, sum, first, last and
    distinct_days.
HF323 load A fact without a window
    count, sum and distinct_days need `within`, or their answer would depend on how far back the data happens to
    go.
HF324 load A fact the trigger has already
    The trigger gives each candidate a fact of this name. Choose another name.
HF325 load blocks_for without blocks
    `blocks_for` says how long `blocks` lasts and means nothing alone.
HF326 load wait without a step before it
    `wait` counts from the step above. Use `after` for the first step.
HF327 load A holdout on legal mail
    Mail the law demands goes to everybody. Remove `holdout`.
HF328 load A file that is not under rules/
    The file this trigger names does not exist under rules/.
HF329 data A rule id that vanished
    The last run knew a rule of this id. If it was renamed, say `was: [old-id]` under its new name, or its ladders
    begin anew.
HF330 load A word where an event or expression belongs
    `exit_when` is an event, {event: login}, or an expression with a comparison. A single word could mean either.
HF331 load recipients in a rule about customers
    `recipients` chooses among the people of an account. A rule about customers writes to the customer.

# HF4xx Expressions
HF401 load A character the language does not have
    Expressions use the signs = <> < <= > >= + - * / ( ) , and '.
HF402 load A text that is never closed
    Text stands between single quotes; an apostrophe inside is doubled: 'it''s'.
HF403 load Double quotes
    Text stands between single quotes: 'pro'. Columns are written without quotes.
HF404 load A sign from another language
    Equality is a single =, and conditions are joined with and, or, not.
HF405 load A comment
    Comments belong into the YAML file, after a #, not into the expression.
HF406 load Something else was expected
    The expression breaks off or goes on in a way it cannot be read.
HF407 load An unknown function
    Functions are lower, upper, coalesce, length, days_since and sent.
HF408 load A query inside an expression
    Expressions read one customer's values. Use the sql trigger for queries.
HF409 load Not a number
    Numbers are digits with an optional fraction or exponent, within the range of a 64-bit number.
HF410 load An empty list
    in () needs at least one value, or it could never be true.
HF411 load A comparison with null
    Nothing equals null, not even null. Use is null or is not null.
HF412 load An expression that is too long
    An expression may hold 4,000 characters. Compute the rest where the data lives.
HF413 load Too many brackets
    An expression may be nested 30 deep.
HF414 load Too many parts
    An expression may have 400 parts. Long lists of values belong into a column of the data.
HF415 load Not a date
    Dates are written date '2026-01-31' and must exist.
HF416 load The wrong number of arguments
    The message says how the function is called.
HF417 data An unknown column
    The table, trigger or rule provides no such column. `holdfast data check` lists what there is.
HF418 load Unlike types
    Both sides of a comparison must be of one type; text and numbers are never compared.
HF419 load Not a condition
    A condition is true or false: a comparison, or a column of that type.
HF420 load Customers without a value are left out
    A comparison with an empty value is neither true nor false, so country <> 'DE' leaves out everybody without a
    country. Say which you mean: coalesce(country, '') <> 'DE' keeps them, and country is not null drops them on
    purpose.
HF421 load An unknown rule in sent()
    sent('rule-id') asks whether a rule of this project has sent something.
HF422 load An unknown prefix
    Columns are the customer's own, or begin with subscription., fact. or account.
HF423 load A value where only a fixed one may stand
    Lists of in and patterns of like hold literals: 'pro', 12.

# HF5xx Templates
HF501 load A template that cannot be read
    Jinja stumbles at this line: a block that is never closed, an expression that breaks off, an unknown tag.
HF502 load Front matter that is missing or wrong
    A mail.html begins with a block between two lines of --- that holds its subject, and if wanted a preheader and
    a reply_to. Each is one line of text, in which values and filters may be used.
HF503 load An unknown name
    Templates read customer.*, fact.*, subscription.*, links.*, workspace.*, and lang, dir, subject and preheader.
    Other names must be set in the template itself.
HF504 load An unknown filter, test or function, or arguments that do not fit it
    Mails have a short list of filters; money, date, datetime, number and plural know the language of the mail.
HF505 load Something a mail may not contain
    Templates are written in a part of Jinja that can do nothing but make text: values, filters, if, for, set,
    macros, blocks and includes, with every name written out. So no template can reach into the engine.
HF506 load A file that is not there
    extends, include and import name a file below templates/, such as layouts/base.html. A file may not come back
    to itself.
HF507 load A value where HTML cannot be made safe
    Inside script and style, in style and on… attributes, and in attributes without quotes, escaping does not
    protect the reader. Put values into text or quoted attributes, and choose between fixed texts with if.
HF508 load A translation that lacks a value
    Each language of a mail says the same. A value the default text shows is missing in this translation.
HF509 load A marketing mail that lacks a required part
    The law and the large mailbox providers want the postal address, an unsubscribe link and a preferences link in
    every marketing mail, in the HTML and in the text part. A layout is the place for them.
HF510 load A template file that is out of place
    A translation stands beside its default (mail.html and mail.he.html), its text part beside its HTML, and the
    language is a code such as he or pt-BR. A file holds at most 256,000 characters.
HF511 load A text part that cannot be derived
    The plain text is made from the HTML. Where a Jinja block begins inside a tag and ends outside it, or in a part
    that the text leaves out, write mail.txt yourself.
HF512 load A translation that is not complete
    The layout, or a file it includes, has words of its own and no variant in this language. No mail mixes
    languages: until the variant is there, the whole mail is sent in the default language.
HF513 load Braces that would reach the customer
    Two opening braces as literal text look like a template that went wrong. Leave them out.
HF515 load MJML that cannot be used
    Tags and attributes of mail.mjml and its layouts must be MJML's own, each where MJML allows it, every tag closed.
    Conditions stand around whole elements: around sections, inside columns, or inside texts.
HF516 load A catalogue that cannot be used
    templates/locales/<language>.po is a gettext catalogue. A translation has the tags of its original and no
    braces but those around its values. `holdfast i18n extract` writes the file.
HF517 load Styles that cannot be put into the tags
    Style sheets are written into the tags when templates are loaded. Markup that must be repaired for that, such as
    text directly in a table, would move conditions away from what they stand around. A condition stands around tags or
    inside a quoted value, never inside a tag.
HF518 data A mail that made-up values do not fill
    `check` fills every mail with values of a customer who does not exist, to look at it. This one fails even then.
HF528 run A mail that customers' values do not fill
    `check --render` makes the mail of everybody the rules match today. These cannot be made: mostly a value that some
    customers lack. Guard it with `{% if %}` around a sentence of its own, or with `default`.
HF520 data An offer in a mail that is not marketing
    Service and legal mail goes to people who did not agree to advertising. An offer in it makes it advertising.
HF521 data What spam filters look for
    Subjects in capitals, rows of exclamation marks, pretended answers, mails made of images.
HF522 data An image without an alternative text
    Many readers see no images; screen readers read the alt text aloud.
HF523 data A long subject
    Inboxes show about 60 characters, phones fewer. Say what matters first.
HF524 data No preheader
    Inboxes show it beside the subject. Without one they show whatever the mail begins with.
HF525 data A mail that will be cut off
    Gmail hides what comes after 100 kB of HTML behind a link, the unsubscribe link and the postal address with it.
HF526 data A link without https
    Links without encryption are warned of, and their readers can be watched.
HF527 data Too little contrast
    Text must stand out from its background by 4.5 : 1, large letters by 3 : 1.
HF514 data A value nobody provides
    The rule's trigger, its facts and the mapped tables have no such name, so the mail could never be filled in.

# HF6xx Tables
HF601 data A table that cannot be read
    The file, table or query named under warehouse.tables does not open. The message carries what the source says;
    `holdfast data check` tries all tables.
HF602 data An unknown kind of warehouse
    The beginning of warehouse.url names the engine the tables live in. The message lists those this version reads.
HF603 data A renamed column that is not there
    `columns` has our name on the left and the table's own on the right. The table has no column of that name.
HF604 data A column every such table needs
    Without this column the table says nothing. If it goes by another name, say so with `columns: {ours: theirs}`.
HF605 data A table the rule needs
    The rule's trigger reads a table that config.yaml does not map. Map it, or choose another trigger.
HF606 data A column the rule needs
    The rule's trigger reads a column its table does not have. If it goes by another name, rename it with `columns`.
HF607 data A query that does not run
    The file of a sql trigger holds one select statement in the warehouse's SQL, in which :as_of stands for the
    instant of the run.
HF608 data A query that lacks a column
    The query of a sql trigger gives customer_id (in a rule about accounts: account_id), occurrence and anchor; further
    columns become facts.
HF609 data An event nobody has ever done
    The events table holds no event of this name, so the rule finds everybody or nobody. Most often it is a spelling.
HF610 data Stripe cannot be asked
    Tables come from Stripe, and the key is missing or may not read what is needed. Make a restricted key that may
    read, and name it with stripe.api_key.
HF611 data A ladder longer than the billing system waits
    The last step comes when the billing system has already cancelled or given up, or when the next bill is due. Bring
    it forward, or set dunning.retry_window to what you chose there.
HF612 data Stripe writes to the same people
    Customers get two mails about one bill when Stripe sends its own. Switch them off there and say
    dunning.stripe_emails: off.
HF613 data Decimal amounts taken for minor units
    A column whose name ends in _minor counts cents. Amounts with a decimal point are mapped without the ending, as
    `amount`, `mrr` or `clv`, and converted exactly.
HF614 data Proof of consent nobody can have
    Where consent.require_in names countries, who lives there, or in no country that is known, gets marketing mail only
    with consent and its proof. Without the column country that is everybody.

# HF7xx State and delivery
HF701 load Not an address for the state
    state.url is sqlite:///file or postgresql://user@host/database. A password in it stands as ${VARIABLE}.
HF702 load A lease that is too short
    A message is leased to the process that sends it. A lease that ends while the provider may still answer would let a
    second process send it again, so it must be longer than delivery.timeout.
"""

_RANGES = {
    "1": "YAML and values",
    "2": "Settings",
    "3": "Rules",
    "4": "Expressions",
    "5": "Templates",
    "6": "Tables",
    "7": "State and delivery",
}


@dataclass(frozen=True)
class Code:
    """One row of the table."""

    code: str
    stage: str
    title: str
    help: str


def _rows() -> dict[str, Code]:
    rows: dict[str, Code] = {}
    for head, body in re.findall(r"^(HF\d{3} .*)\n((?:    .*\n)+)", _TABLE, re.MULTILINE):
        code, stage, title = head.split(" ", 2)
        rows[code] = Code(code, stage, title, " ".join(body.split()))
    return rows


CODES = _rows()


def errors_page() -> str:
    """The page `docs/errors.md`: a heading for every code, in order."""
    parts = ["# Errors and warnings", "", "Every message ends with its code in brackets. Each code has its entry here."]
    shown = ""
    for row in sorted(CODES.values(), key=lambda row: row.code):
        if row.code[2] != shown:
            shown = row.code[2]
            parts += ["", f"## {_RANGES[shown]}"]
        parts += ["", f"### {row.code}: {row.title}", "", row.help]
    return "\n".join(parts) + "\n"

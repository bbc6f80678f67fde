// A table of the backends that is drawn again and again, until a signal comes.
#pragma once

#include <asio/io_context.hpp>

#include "client.hpp"
#include "command_line.hpp"
#include "commands.hpp"

namespace fairlead::ctl {

/// Looks at the backends every `interval` and draws them: over the last table on a terminal, below it
/// elsewhere. SIGINT and SIGTERM end it, `done`, at once. A first look that fails ends it with that status;
/// later ones show the last table and since when there was no answer, because a server that restarts is
/// what one watches for. Ends after `count` looks with the last one's status.
Status watch(asio::io_context& io, Client& client, const Watching& watching, bool raw,
             const Console& console);

/// The lines as one picture for a terminal: from its top left corner, each line cut to its width, those that
/// do not fit counted in the last one, and what was there before wiped away.
std::string picture(const Lines& lines, TerminalSize size, Language language);

}  // namespace fairlead::ctl

#ifndef MPOPT_LIB_REPORT_SECTIONS_H
#define MPOPT_LIB_REPORT_SECTIONS_H

#include "Format.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt::report {

/// Sections of a plan's page, each written to `os` from the account; one whose data the account lacks writes nothing.
void writeSummary(const json::Object &account, llvm::raw_ostream &os);
void writeLimits(const json::Object &account, llvm::raw_ostream &os);
void writeStages(const json::Object &account, llvm::raw_ostream &os);
void writeBlocks(const json::Object &account, llvm::raw_ostream &os);
void writeTimeline(const json::Object &account, llvm::raw_ostream &os);
void writeMemory(const json::Object &account, llvm::raw_ostream &os);
void writeLinks(const json::Object &account, llvm::raw_ostream &os);
void writeDecisions(const json::Object &account, llvm::raw_ostream &os);
void writeShardings(const json::Object &account, llvm::raw_ostream &os);

/// What shares of blocks and operators are given of: a pass of one microbatch, or the step where there are none.
double passSeconds(const json::Object &account);
llvm::StringRef passWord(const json::Object &account);

/// "rank 3", "ranks 0–3": the devices that do the same.
std::string ranksText(double first, double last);

/// The frame of every page, around its sections.
std::string page(llvm::StringRef title, llvm::StringRef body);

/// Opens a section with its heading.
void openSection(llvm::raw_ostream &os, llvm::StringRef id, llvm::StringRef title);

} // namespace mpopt::report

#endif // MPOPT_LIB_REPORT_SECTIONS_H
